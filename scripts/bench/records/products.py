"""Record the products of a piece of work and repeat them alone, to measure the time that the machine needs for them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
ONEDNN = torch.ops.mkldnn._linear_pointwise.default  # x Wᵀ, of `skipln.ops.linear`
MULTIPLY = {
    aten.mm.default, aten.addmm.default, aten.convolution.default, aten.convolution_backward.default, ONEDNN,
}  # fmt: skip


class Products(TorchDispatchMode):
    """Records every product of whole matrices and every convolution inside `with`; `run` repeats them.

    `run` uses random numbers of the same shapes, strides and types, so its time is what the work would take if it did
    nothing else. The small products inside attention are not counted. flops: a multiplication and an addition are two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Callable[[], object]] = []
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func in MULTIPLY:
            self.flops += _flops(func, args, kwargs, out)
            alike = [tree_map_only(Tensor, _alike, argument) for argument in args]
            self.calls.append(lambda: func(*alike, **kwargs))
        return out

    @torch.no_grad()
    def run(self) -> None:
        for call in self.calls:
            call()


def products(work: Callable[[], object]) -> Products:
    """Run `work` once and return its products."""
    with Products() as found:
        work()
    return found


def _flops(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    if func is ONEDNN:
        return 2 * args[0].numel() * len(args[1])
    return int(flop_registry[func._overloadpacket](*args, **kwargs, out_val=out))


def _alike(tensor: Tensor) -> Tensor:
    return _random(tuple(tensor.shape), tensor.stride(), tensor.dtype)


@cache
def _random(shape: tuple[int, ...], stride: tuple[int, ...], kind: torch.dtype) -> Tensor:
    """Random numbers, shared by all tensors of one form; otherwise a step's products would not fit into memory."""
    with torch.utils._python_dispatch._disable_current_modes():
        size = 1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        return torch.randn(size).to(kind).as_strided(shape, stride)
