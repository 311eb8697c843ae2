"""The seam between models and connections: every residual site is a `Connection`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from skipln.ops import Dropout

Branch = Callable[[Tensor], Tensor]
LAYOUTS = ("btc", "nchw")


@dataclass(frozen=True)
class DroppedBranch:
    """A branch that ends in dropout, told apart so that a connection may draw it in its own pass over F."""

    function: Branch
    dropout: Dropout

    def __call__(self, x: Tensor) -> Tensor:
        return self.dropout(self.function(x))


@dataclass(frozen=True)
class Place:
    """Where a residual site stands: number `index` (from 0) of the `sites` in its stack."""

    index: int = 0
    sites: int = 1

    @property
    def last(self) -> bool:
        return self.index == self.sites - 1


class Connection(nn.Module):
    """One residual site, called as `y = site(x, branch)`; a model never writes x + f(x) itself.

    A stack calls `enter` of its first site before it and `leave` of its last site after it. Connections that carry
    more than one tensor from site to site (a stream) make the stream in `enter` and close it in `leave`; for plain
    connections both are the identity. `forward` maps stream to stream:

    x: [batch, time, dim] for layout "btc", [batch, dim, height, width] for "nchw".
    branch: F, dropout included; called exactly once with a tensor like x, returns one of the same shape.
    mask: bool [batch, time], True at the positions that are not padding; needed only by norms over the batch.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place = Place()) -> None:
        super().__init__()
        self.dim, self.layout, self.place = dim, layout, place

    def enter(self, x: Tensor) -> Any:
        return x

    def leave(self, stream: Any) -> Tensor:
        return stream

    def forward(self, x: Any, branch: Branch, mask: Tensor | None = None) -> Any:
        raise TypeError(f"{type(self).__name__} does not say how it joins x and F(x)")
