"""Stacks of sites with a made-up branch, and whole Transformers, for the tests in this folder."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from skipln import skips
from skipln.models.transformer import Transformer, TransformerShape
from skipln.seam.connection import Connection, Place

DIM = 16
SHAPES = {"btc": (3, 5, DIM), "nchw": (3, DIM, 2, 4)}


def branch(h: torch.Tensor) -> torch.Tensor:
    return (1.7 * h).sin() + 0.3 * h.roll(1, 0)


def norm(x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, (DIM,)) if x.dim() == 3 else F.layer_norm(x, x.shape[1:])


def sites(name: str, layout: str, count: int = 3, **options: object) -> list[Connection]:
    """Return the sites of a stack whose layers have two each."""
    branches = ["self_attention", "feed_forward"]
    places = [Place("encoder", i, 2 * count, 1 + i // 2, count, branches[i % 2]) for i in range(2 * count)]
    return [skips.create(name, DIM, layout=layout, place=place, **options).double() for place in places]


def through(stack: list[Connection], x: torch.Tensor, branch: Callable = branch) -> torch.Tensor:
    stream = stack[0].enter(x)
    for site in stack:
        stream = site(stream, branch)
    return stack[-1].leave(stream)


def run(name: str, x: torch.Tensor, layout: str, branch: Callable = branch, **options: object) -> torch.Tensor:
    return through(sites(name, layout, **options), x, branch)


def transformer(name: str, **options: object) -> Transformer:
    torch.manual_seed(0)
    shape = TransformerShape(2, 3, 16, 32, 4, dropout=0.0)
    return Transformer(20, shape, lambda dim, place: skips.create(name, dim, place=place, **options))


def positions(x: torch.Tensor) -> torch.Tensor:
    """Return a sequence or a feature map as [positions, dim]."""
    return (x.movedim(1, -1) if x.dim() == 4 else x).flatten(0, -2)


def unflat(h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Undo `positions`."""
    return h.view(x.movedim(1, -1).shape).movedim(-1, 1) if x.dim() == 4 else h.view(x.shape)
