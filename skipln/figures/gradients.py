"""Measure what flows through the residual sites of a net in one forward and backward pass."""

import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from skipln.seam.connection import Connection


@dataclass(frozen=True)
class Site:
    """One residual site y = site(x, F) in one pass; norms and root mean squares are over the whole batch.

    stream: ‖∂loss/∂y‖₂. branch: ‖∂loss/∂θ‖₂, where θ are the parameters that only F reads, `parameters` numbers in all.
    share: rms F(x) / rms x. scale: rms y. The gradient is taken behind the site, because a site that changes a ResNet's
    shape has two in front of it: the shortcut's and the branch's.
    """

    stack: str
    stream: float
    branch: float
    share: float
    scale: float
    parameters: int


@dataclass
class _Watched:
    """What hooks collect at a site during a pass. It holds the net's tensors, and so only lives as long as the pass."""

    stack: str
    share: float = math.nan
    scale: float = math.nan
    gradients: list[Tensor] = field(default_factory=list)
    parameters: dict[nn.Parameter, None] = field(default_factory=dict)

    def site(self) -> Site:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        count = sum(p.numel() for p in self.parameters)
        return Site(self.stack, _norm(self.gradients), _norm(gradients), self.share, self.scale, count)


QUANTITIES = ("stream", "branch", "share", "scale")


@dataclass(frozen=True)
class Pass:
    """A forward and backward pass: the loss, the root mean square of the net's output, and its sites in order."""

    loss: float
    output: float
    sites: list[Site]


def measure(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> Pass:
    """Run one pass of a copy of `model` in float64, in training mode; `model` itself does not change.

    loss: computes the scalar loss of the net that it is given, in float64. Exploding and vanishing gradients are then
    measured instead of overflowing: 3^±600 can be represented. A norm inside the net squares its input and therefore
    reaches only 3^±300.
    """
    net = copy.deepcopy(model).double().train()
    net.zero_grad(set_to_none=True)
    output: list[float] = []
    net.register_forward_pre_hook(lambda _, inputs: tuple(t.double() if t.is_floating_point() else t for t in inputs))
    net.register_forward_hook(lambda _, __, y: output.append(_rms(y)))
    watched = _watch(net)
    with sdpa_kernel(SDPBackend.MATH):  # other kernels recompute exp(score − log-sum), which overflows at 1e20
        value = loss(net)
        value.backward()
    found = Pass(value.item(), output[-1], [one.site() for one in watched])
    watched.clear()  # the net's hooks refer to it, and it to the gradients: a circle that would keep both for long
    return found


def _watch(net: nn.Module) -> list[_Watched]:
    """The sites of `net`, filled when it is called. A branch's parameters are those of the modules that F calls."""
    sites: list[_Watched] = []
    within: list[_Watched] = []

    def enter(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        x, branch, *others = arguments
        site = sites[-1]

        def watched(h: Tensor) -> Tensor:
            within.append(site)
            f = branch(h)
            within.pop()
            site.share = _rms(f) / _rms(x)
            return f

        return (x, watched, *others)

    def leave(_: nn.Module, __: Any, y: Any) -> None:
        sites[-1].scale = _rms(y)
        for tensor in _tensors(y):
            if tensor.requires_grad:
                tensor.register_hook(sites[-1].gradients.append)

    def read(module: nn.Module, _: Any) -> None:
        if within:
            within[-1].parameters.update(dict.fromkeys(module.parameters(recurse=False)))

    def begin(stack: str) -> Callable[..., None]:
        return lambda *_: sites.append(_Watched(stack))

    for name, module in net.named_modules():
        if isinstance(module, Connection):
            module.register_forward_pre_hook(begin(_stack(name)))
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave)
        else:
            module.register_forward_pre_hook(read)
    return sites


def _stack(name: str) -> str:
    """The stack that a site belongs to, from its module's name: "decoder" from "decoder.3.sites.1"."""
    return re.sub(r"\.\d+\.[^.]+(\.\d+)?$", "", name)


def _tensors(stream: Any) -> Iterator[Tensor]:
    """The tensors of a stream: x itself, or all that a connection carries from site to site, in any container."""
    if isinstance(stream, Tensor):
        yield stream
    elif isinstance(stream, list | tuple | set):
        for part in stream:
            yield from _tensors(part)
    elif isinstance(stream, Mapping):
        yield from _tensors(list(stream.values()))
    elif hasattr(stream, "__dict__"):
        yield from _tensors(vars(stream))


def _norm(tensors: list[Tensor]) -> float:
    """The Euclidean norm of all elements, scaled by the largest before squaring so that 1e200 does not overflow."""
    largest = max((float(t.detach().abs().max()) for t in tensors if t.numel()), default=0.0)
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(sum(float((t.detach() / largest).square().sum()) for t in tensors))


def _rms(stream: Any) -> float:
    tensors = list(_tensors(stream))
    return _norm(tensors) / math.sqrt(sum(t.numel() for t in tensors))
