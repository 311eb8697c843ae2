"""figure.md: the panels, their numbers, and where these come from."""

import math
import statistics
from collections.abc import Sequence
from itertools import groupby

from skipln.figures.drawing import LABELS
from skipln.figures.forms import distinct, label
from skipln.figures.manifest import Manifest, Model
from skipln.figures.numbers import NetRow, Numbers, SiteRow
from skipln.figures.overview import LAM
from skipln.report.markdown import aligned, inert
from skipln.report.numbers import EMPTY

SHAPE = ("factor per site", "branch gradient, first ÷ last", "branch's share, last")
HEADING = ["", *(f"start: {what}" for what in (*SHAPE, "rms y, last", "rms output"))]
HEADING += [f"trained: {what}" for what in (*SHAPE, "loss")]


def page(numbers: Numbers, manifest: Manifest, scale: str) -> str:
    """The whole page, ending in a newline."""
    parts = [inert(f"# {manifest.name}: {manifest.title}")]
    for model in manifest.at(scale).models:
        if not (depths := _depths(numbers, model)):
            continue
        depth, name = max(depths), inert(model.label)
        parts.append(f"## {name}")
        parts.append(f"![{LABELS['stream']} at λ = {LAM:g}, {name}]({model.name}-overview.svg)")
        parts += [f"![{LABELS[quantity]}, {name}]({model.name}-{quantity}.svg)" for quantity in LABELS]
        parts.append(inert(f"At {depth} {model.unit}:"))
        parts.append(aligned([HEADING, *_lines(numbers, model.name, depth)]))
    parts.append("\n".join(inert(f"- {sentence}") for sentence in _footnotes(numbers, manifest, scale)))
    return "\n\n".join(parts) + "\n"


def _depths(numbers: Numbers, model: Model) -> list[int]:
    """The depths of a model of which a net is measured; of a table's runs, some may be missing."""
    found = {net.depth for net in numbers.nets if net.model == model.name}
    return [depth for depth in model.depths if depth in found]


def growth(sites: Sequence[SiteRow]) -> float | None:
    """The factor by which the stream's gradient grows on its way back through one site of a stack (geometric mean).

    It is λ if the law holds and 1 if gradients pass unchanged. Steps between stacks (a ResNet's stages) do not count.
    """
    total, steps = 0.0, 0
    for _, group in groupby(sites, key=lambda site: site.stack):
        stack = list(group)
        if not stack[0].stream or not stack[-1].stream:
            return None
        total += math.log(stack[0].stream / stack[-1].stream)
        steps += len(stack) - 1
    return math.exp(total / steps) if steps else None


def _lines(numbers: Numbers, model: str, depth: int) -> list[list[str]]:
    nets = {(n.form, n.lam, n.state): n for n in numbers.nets if (n.model, n.depth) == (model, depth)}
    found: dict[tuple, list[SiteRow]] = {key: [] for key in nets}
    for site in numbers.sites:
        if (site.model, site.depth) == (model, depth):
            found[site.form, site.lam, site.state].append(site)
    return [
        [label(*one), *_start(nets[*one, "start"], found[*one, "start"]), *_trained(nets[*one, "trained"], found)]
        for one in distinct((form, lam) for form, lam, _ in nets)
    ]


def _start(net: NetRow, sites: Sequence[SiteRow]) -> list[str]:
    return [*_shape(sites), _number(sites[-1].scale), _number(net.output)]


def _trained(net: NetRow, found: dict[tuple, list[SiteRow]]) -> list[str]:
    if net.diverged == net.seeds:
        return ["diverged", EMPTY, EMPTY, EMPTY]
    loss = _number(net.loss) + (f" ({net.diverged} of {net.seeds} diverged)" if net.diverged else "")
    return [*_shape(found[net.form, net.lam, net.state]), loss]


def _shape(sites: Sequence[SiteRow]) -> list[str]:
    first, last = sites[0], sites[-1]
    ratio = first.branch / last.branch if first.branch and last.branch else None
    return [_number(growth(sites), 3), _number(ratio), _number(last.share)]


def _number(value: float | None, digits: int = 2) -> str:
    return EMPTY if value is None else f"{value:.{digits}g}"


def _footnotes(numbers: Numbers, manifest: Manifest, scale: str) -> list[str]:
    at, about = manifest.at(scale), numbers.about
    spreads = [site.stream_sd for site in numbers.sites if site.stream_sd is not None]
    models = [model for model in at.models if _depths(numbers, model)]
    short = _trainings(at.overrides, models)
    spread = f": half of all sites have less than {statistics.median(spreads):.2f}" if spreads else ""
    return [
        "Each net and micro-batch is measured in one forward and backward pass of the training loss (mean over tokens "
        "or images, in nats), in float64 and training mode. y is the stream behind a residual site y = site(x, F), θ "
        "are the parameters that only F reads, norms are Euclidean over the whole batch, and rms is over all elements.",
        "Factor per site: the gradient of the stream is multiplied by it on its way back through one site. It is the "
        "geometric mean over the sites of a stack (a ResNet's stage, the encoder, the decoder). The law says λ.",
        "Settings that make the same net are shown once: xSkip λ=1 is skip, and under a norm rSkip λ=1 is xSkip λ=1.",
        "First and last mean the first and the last site of the net. The output is the logits. The loss is that of the "
        "measured batches.",
        f"n = {at.seeds * at.batches}: a number is the geometric mean over {_count(at.seeds, 'seed')} × "
        f"{_count(at.batches, 'micro-batch', 'es')}. sites.csv has every site, with the factor of one geometric "
        f"standard deviation (of the stream's gradient{spread}); nets.csv has the hashes of the nets' configurations.",
        *([f"Short training: {'; '.join(short)}, on top of the recipe of scale={scale}."] if short else []),
        *_finished(numbers, scale, models),
        "Diverged: the training diverged (docs/reproduction.md defines this); such a seed has no trained net.",
        *(f"Data: {text}" for text in about.data),
        *([f"Arithmetic of the trainings: {_alike(about.arithmetic)}"] if about.arithmetic else []),
        *(f"Code: {text}" for text in about.code),
        *(f"Hardware: {text}" for text in about.hardware),
        *(f"Note: {note}" for note in manifest.notes),
        f"Made by: `{about.command}`",
    ]


def _alike(found: Sequence[str]) -> str:
    return found[0] if len(found) == 1 else f"NOT THE SAME in all nets: {'; '.join(found)}"


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}{plural if number > 1 else ''}"


def _trainings(shared: Sequence[str], models: Sequence[Model]) -> list[str]:
    return [f"{model.label}: `{' '.join([*shared, *model.overrides])}`" for model in models if model.of is None]


def _finished(numbers: Numbers, scale: str, models: Sequence[Model]) -> list[str]:
    return [
        f"Trained, {model.label}: the weights with which finished runs of {model.of} at scale {scale} were tested "
        f"(column {' and '.join(model.depths[depth][0] for depth in _depths(numbers, model))})."
        for model in models
        if model.of is not None
    ]
