"""The skip gradient method (Wu et al. 2020) at the seam: it scales the gradient that comes back through a branch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from skipln.seam.connection import Connection


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, f: Tensor, gamma: float) -> Tensor:
        ctx.gamma = gamma
        return f.view_as(f)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.gamma * gradients[0], None


def scaled_gradient(f: Tensor, gamma: float) -> Tensor:
    """Return f as it is; its gradient is multiplied by γ on the way back."""
    return _Scaled.apply(f, gamma)


@contextmanager
def branch_gradients(net: nn.Module, gamma: float) -> Iterator[None]:
    """Within the context every site of `net` computes y = site(x, F) as before and propagates γ·∂F instead of ∂F.

    The gradient that reaches x other than through F is not scaled. The first site of each stack is left alone, as
    published. γ = 1 is the plain gradient. The authors scale inside F, by √γ at each of a block's two relus, and find
    modules by their names; at the seam one factor γ serves any net and any connection.
    """

    def scale(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        stream, branch, *others = arguments
        return (stream, lambda h: scaled_gradient(branch(h), gamma), *others)

    sites = [module for module in net.modules() if isinstance(module, Connection) and not module.place.first]
    hooks = [site.register_forward_pre_hook(scale) for site in sites]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
