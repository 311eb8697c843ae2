"""Run the same leaves through our code and another package's, and compare the output and the gradient of every leaf."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from skipln import norms, skips
from skipln.seam.connection import Connection, Place

DIM, ROWS, TIME = 16, 2, 5
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def leaf(*shape: int, seed: int = 0, around: float = 0.0, spread: float = 1.0) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return (around + spread * drawn).requires_grad_()


def stream(seed: int = 0) -> Tensor:
    return leaf(ROWS, TIME, DIM, seed=seed)


def agree(ours: Callable[[], Tensor], theirs: Callable[[], Tensor], *leaves: Tensor) -> None:
    """Compare output and gradients within 1e-5; the loss is a sum with a different weight for each element."""
    found = []
    for function in (ours, theirs):
        y = function()
        weights = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view_as(y)
        found.append((y, *torch.autograd.grad((y * weights).sum(), leaves)))
    for a, b in zip(*found, strict=True):
        assert a.abs().sum() > 0
        torch.testing.assert_close(a, b.to(a.dtype), **CLOSE)


def call(module: nn.Module, given: dict[str, Tensor], *inputs: Tensor) -> Tensor:
    """Call the module with `given` in place of its parameters, of which none may be missing."""
    assert {name for name, _ in module.named_parameters()} == set(given)
    return functional_call(module, given, inputs)


def norm(name: str, **options: object) -> nn.Module:
    return norms.create(name, **options)(DIM, "btc")


def site(name: str, index: int = 0, sites: int = 4, layers: int = 2, norm: str | None = None, **options) -> Connection:
    each = sites // layers
    place = Place("encoder", index, sites, 1 + index // each, layers, "feed_forward")
    return skips.create(name, DIM, place=place, norm=norms.create(norm) if norm else None, **options)


def branch(x: Tensor) -> Tensor:
    """Some function of a position, which both sides use."""
    return torch.tanh(1.3 * x + x.roll(1, -1)) + 0.2 * x.roll(3, -1)


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return branch(x)
