"""Measure every connection in a small Transformer of 24 layers at the start: gradients site by site, size, time.

The gradients are those of figure 1 (`skipln.figures.gradients`): ‖∂loss/∂y‖ behind every residual site, in float64,
here for one batch of random words. The time is the processor time of a forward and a backward pass in float32 on one
thread, relative to the median of the plain skip connection; the nets take turns.
"""

import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from skipln.engine.environment import cpu
from skipln.errors import UserError
from skipln.figures.gradients import measure
from skipln.models.transformer import Transformer, TransformerShape
from skipln.runs.result import reason
from skipln.seam.profile import profile
from skipln.system.files import atomic_write
from skipln.system.places import ROOT
from skipln.tasks.connections import connections_of

KEPT = ROOT / "docs" / "gallery.json"
VOCABULARY, SHAPE = 64, TransformerShape(12, 12, 64, 256, 4, dropout=0.0)
SENTENCES, WORDS = 8, 12
TURNS = 7
PLAIN = "skip"


class Measured(BaseModel):
    """stream: ‖∂loss/∂y‖ by stack; None if not finite. ratio: time / `skip`'s median time: median, least, most."""

    parameters: int
    stream: dict[str, list[float | None]]
    ratio: tuple[float, float, float]


class Gallery(BaseModel):
    """turns: how often each net was timed."""

    connections: dict[str, Measured]
    turns: int
    cpu: str
    torch: str


def read(path: Path = KEPT) -> Gallery | None:
    """The kept measurements; None if there are none yet. Raises UserError for a damaged file."""
    try:
        return Gallery.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValueError as error:
        raise UserError(f"{path}: damaged ({reason(error)}); restore it with git, or make gallery") from error


def measured(names: list[str], turns: int = TURNS) -> Gallery:
    """Measure all `names` again."""
    torch.set_num_threads(1)
    nets = {name: _net(name) for name in dict.fromkeys([PLAIN, *names])}
    streams = {name: _stream(net) for name, net in nets.items()}
    seconds: dict[str, list[float]] = {name: [] for name in nets}
    for turn in range(turns + 1):
        for name, net in nets.items():
            started = time.process_time()
            _loss(net).backward()
            if turn:  # the first turn warms up
                seconds[name].append(time.process_time() - started)
    found = {}
    for name in names:
        ratios = [own / median(seconds[PLAIN]) for own in seconds[name]]
        parameters = sum(parameter.numel() for parameter in nets[name].parameters())
        ratio = (round(median(ratios), 3), round(min(ratios), 3), round(max(ratios), 3))
        found[name] = Measured(parameters=parameters, stream=streams[name], ratio=ratio)
    return Gallery(connections=found, turns=turns, cpu=cpu(), torch=torch.__version__)


def write(gallery: Gallery, path: Path = KEPT) -> None:
    with atomic_write(path, "w") as file:
        file.write(gallery.model_dump_json(indent=0) + "\n")


def _net(name: str) -> Transformer:
    torch.manual_seed(1)
    net = Transformer(VOCABULARY, SHAPE, connections_of({"name": name}, {"name": "layer"})).train()
    profile(net, partial(_loss, net))
    return net


def _stream(net: nn.Module) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for site in measure(net, _loss).sites:
        number = float(f"{site.stream:.3g}")
        found.setdefault(site.stack, []).append(number if abs(number) < float("inf") else None)
    return found


def _loss(net: Any) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    source, target_in, target_out = torch.randint(4, VOCABULARY, (3, SENTENCES, WORDS), generator=draw)
    return cross_entropy(net(source, target_in).flatten(0, -2), target_out.flatten())
