"""Every legal triple of connection, kind of net and norm trains, stops and resumes; the others say why they cannot."""

import math
import re

import pytest
import torch

from skipln import norms, skips
from skipln.configuration.composition import compose
from skipln.decode.translate import Search, translate
from skipln.engine.run import execute
from skipln.errors import UserError
from skipln.figures.gradients import measure
from skipln.models.resnet import ResNetShape, refusal
from skipln.models.transformer import Transformer, TransformerShape
from skipln.runs.reading import read_metrics
from skipln.seam.place import Place
from skipln.tasks import create_task
from skipln.tasks.connections import connections_of

pytestmark = pytest.mark.matrix

NETS = {
    f"{activation}-{block}": {"activation": activation, "block": block}
    for activation in ("pre", "post")
    for block in ("basic", "bottleneck")
}
CHOICES = [name for name in norms.names() if name != "batch"]  # the _bn forms have batch norm
TINY = [
    "scale=test", "compute.accelerator=cpu", "compute.threads=1", "training.log_every=1", "training.average=1",
    "training.diverged_above=1e30", "training.diverged_after=9",  # without a norm a loss may be large
]  # fmt: skip


def reason(net: str, name: str, norm: str) -> str:
    """Return how the error of an illegal triple begins, or "" for a legal one."""
    if net == "transformer":
        return "norm=mimic is for convolutional nets" if norm == "mimic" else ""
    site = skips.create(name, 4, layout="nchw", place=Place())
    return refusal(site, ResNetShape([1], **NETS[net]))


def triples(legal: bool) -> list[tuple[str, str, str]]:
    """List the legal or the illegal triples (kind of net, connection, norm)."""
    return [
        (net, name, norm)
        for net in ("transformer", *NETS)
        for name in skips.names()
        for norm in (CHOICES if skips.takes_norm(name) else ["layer"])
        if legal == (not reason(net, name, norm))
    ]


@pytest.fixture
def run(tmp_path, tiny):
    """Compose a run of two updates for a triple, in a runs folder of its own."""

    def composed(net: str, name: str, norm: str, *overrides: str, runs: str = "runs"):
        task = tiny if net == "transformer" else ["task=classification", f"paths.cache={tmp_path}"]
        model = [f"model.{key}={value}" for key, value in NETS.get(net, {}).items()]
        if norm == "mimic" and net != "transformer":  # it replaces BN
            model += ["model.norm=none", "model.head_norm=batch"]
        steps = ["training.updates=2", "training.checkpoint_every=1", f"paths.runs={tmp_path / runs}"]
        return compose([*task, *TINY, *model, f"skip={name}", f"norm={norm}", *steps, *overrides])

    return composed


def story(config) -> list[dict]:
    """Read metrics.jsonl without the values that depend on the clock."""
    return [
        {key: value for key, value in point.items() if key != "wall" and not key.endswith("_per_second")}
        for point in read_metrics(config.folder)
    ]


@pytest.mark.parametrize(("net", "name", "norm"), triples(legal=True))
def test_it_trains_and_resumes_exactly(run, interrupt, net, name, norm):
    """In single precision a whole and an interrupted run are equal; under bf16 autocast a step is finite."""
    whole, broken = (run(net, name, norm, runs=runs) for runs in ("whole", "broken"))
    state = execute(whole)
    assert state in ("done", "diverged")
    interrupt(broken, 1)
    assert execute(broken) == state
    assert story(broken) == story(whole)
    saved = [config.folder / "examples.npy" for config in (broken, whole)]
    assert saved[0].exists() == saved[1].exists() == (state == "done")
    assert state == "diverged" or saved[0].read_bytes() == saved[1].read_bytes()
    rounded = run(net, name, norm, "precision=bf16", "training.updates=1", runs="rounded")
    assert execute(rounded) in ("done", "diverged")
    (loss,) = [point["train/loss"] for point in story(rounded) if "train/loss" in point]
    assert math.isfinite(loss)


@pytest.mark.parametrize(("net", "name", "norm"), triples(legal=False))
def test_it_is_refused_with_the_reason(run, net, name, norm):
    with pytest.raises(UserError, match=re.escape(reason(net, name, norm))) as error:
        create_task(run(net, name, norm)).build()
    assert "\n" not in str(error.value)


def transformer(name: str, norm: str, shape: TransformerShape) -> Transformer:
    torch.manual_seed(0)
    return Transformer(40, shape, connections_of({"name": name}, {"name": norm}))


@pytest.mark.parametrize(("name", "norm"), [triple[1:] for triple in triples(legal=True) if triple[0] == "transformer"])
def test_it_decodes_the_same_in_any_batch(name, norm):
    """Double precision prevents rounding from deciding between two words."""
    net = transformer(name, norm, TransformerShape(2, 2, 16, 32, 4, dropout=0.0)).double()
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    draw = torch.Generator().manual_seed(1)
    sources = [torch.randint(4, 40, (length,), generator=draw).tolist() for length in (1, 7, 3, 7, 2, 5)]
    together, alone = (
        translate(net, sources, Search(beam=2, extra_length=4, max_tokens=tokens), bos=1, eos=2) for tokens in (1000, 1)
    )
    assert together == alone


@pytest.mark.parametrize("name", skips.names())
def test_all_gradients_of_a_deep_net_are_finite(name):
    """They are at initialisation, with 24 sites in an encoder of twelve layers and 24 in a decoder of eight."""
    net = transformer(name, "layer", TransformerShape(12, 8, 16, 32, 4, dropout=0.0))
    draw = torch.Generator().manual_seed(1)
    source, target = torch.randint(4, 40, (2, 4, 7), generator=draw)
    found = measure(net, lambda n: torch.nn.functional.cross_entropy(n(source, target), target.flatten()))
    assert len(found.sites) == 48
    assert all(math.isfinite(v) for site in found.sites for v in (site.stream, site.branch, site.share, site.scale))
