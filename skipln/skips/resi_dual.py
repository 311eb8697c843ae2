"""ResiDual: a post-LN stream and, beside it, a plain sum of the branches (Xie et al. 2023)."""

from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register

Stream = tuple[Tensor, Tensor]


@register("resi_dual")
class ResiDual(Connection):
    """f = F(x); x ← LN(x + f); r ← r + f, with r = x at the entry; after the stack x + LN(r). Gains start at 1.

    Identity: x alone is post-LN; r alone is the plain skip connection's sum of the same branches.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.norm = layer_norm(dim, layout)
        self.last_norm = layer_norm(dim, layout) if place.last else nn.Identity()

    def enter(self, x: Tensor) -> Stream:
        return x, x

    def forward(self, stream: Stream, branch: Branch, mask: Tensor | None = None) -> Stream:
        x, r = stream
        f = branch(x)
        return self.norm(x + f), r + f

    def leave(self, stream: Stream) -> Tensor:
        x, r = stream
        return x + self.last_norm(r)
