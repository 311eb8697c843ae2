"""figure.md: the panels, what they say in numbers, and where these are from."""

import math
import statistics
from collections.abc import Sequence
from itertools import groupby

from skipln.figures.drawing import LABELS
from skipln.figures.forms import distinct, label
from skipln.figures.manifest import Manifest, Model
from skipln.figures.numbers import NetRow, Numbers, SiteRow
from skipln.figures.overview import LAM
from skipln.report.markdown import aligned
from skipln.report.numbers import EMPTY

SHAPE = ("factor a site", "branch gradient, first ÷ last", "branch's share, last")
HEADING = ["", *(f"start: {what}" for what in (*SHAPE, "rms y, last", "rms output"))]
HEADING += [f"trained: {what}" for what in (*SHAPE, "loss")]


def page(numbers: Numbers, manifest: Manifest, scale: str) -> str:
    """The whole page, ending in a newline."""
    parts = [f"# {manifest.name}: {manifest.title}"]
    for model in manifest.at(scale).models:
        depth = max(model.depths)
        parts.append(f"## {model.label}")
        parts.append(f"![{LABELS['stream']} at λ = {LAM:g}, {model.label}]({model.name}-overview.svg)")
        parts += [f"![{LABELS[quantity]}, {model.label}]({model.name}-{quantity}.svg)" for quantity in LABELS]
        parts.append(f"At {depth} {model.unit}:")
        parts.append(aligned([HEADING, *_lines(numbers, model.name, depth)]))
    parts.append("\n".join(f"- {sentence}" for sentence in _footnotes(numbers, manifest, scale)))
    return "\n\n".join(parts) + "\n"


def growth(sites: Sequence[SiteRow]) -> float | None:
    """By how much the stream's gradient grows on its way back through one site of a stack, a geometric mean.

    λ if the law holds; 1 if gradients pass as they are. Between stacks (a ResNet's stages) nothing is counted.
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
    short = _trainings(at.overrides, at.models)
    spread = f": half of all sites have less than {statistics.median(spreads):.2f}" if spreads else ""
    return [
        "Of each net and micro-batch: a forward and backward pass of the training loss (mean over tokens or images, "
        "nats) in float64 and training mode. y is the stream behind a residual site y = site(x, F), θ the parameters "
        "that F alone reads, norms are Euclidean over the whole batch, rms over all its elements.",
        "Factor a site: what the gradient of the stream is multiplied by on its way back through one site, the "
        "geometric mean over the sites of a stack (a ResNet's stage, the encoder, the decoder). The law says λ.",
        "What is the same net is shown once: xSkip λ=1 is skip, and rSkip λ=1 under a norm is xSkip λ=1 under it.",
        "First, last: the first and the last site of the net. Output: the logits. Loss: on the measured batches.",
        f"n = {at.seeds * at.batches}: a number is the geometric mean over {_count(at.seeds, 'seed')} × "
        f"{_count(at.batches, 'micro-batch', 'es')}. sites.csv has every site, with the factor of a geometric standard "
        f"deviation (of the stream's gradient{spread}); nets.csv has the hashes of the nets' configurations.",
        *([f"Short training: {'; '.join(short)}, on top of the recipe of scale={scale}."] if short else []),
        *_finished(scale, at.models),
        "Diverged: the training ended as diverged (docs/reproduction.md says when); such a seed has no trained net.",
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


def _finished(scale: str, models: Sequence[Model]) -> list[str]:
    return [
        f"Trained, {model.label}: the weights with which finished runs of {model.of} at scale {scale} were tested, of "
        f"column {' and '.join(words[0] for words in model.depths.values())}."
        for model in models
        if model.of is not None
    ]
