"""SiameseNorm: a post-LN and a pre-LN stream that share their branches (arXiv 2602.08064)."""

from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register

Stream = tuple[Tensor, Tensor]


@register("siamese_norm")
class SiameseNorm(Connection):
    """x ← LN x; z = F(LN(x + LN y)); x ← x + z/√(2l); y ← y + z, with y = x at the entry; after the stack
    LN(LN x + LN y).

    l is the number of the site's layer in its stack, from 1. Every LN has its own gain (1 at the start) and bias (0).
    Identity: y is the plain skip connection's sum of the same branches.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.share = (2 * place.layer) ** -0.5
        self.post, self.pre, self.both = (layer_norm(dim, layout) for _ in range(3))
        self.last = nn.ModuleList(layer_norm(dim, layout) for _ in range(3 if place.last else 0))

    def enter(self, x: Tensor) -> Stream:
        return x, x

    def forward(self, stream: Stream, branch: Branch, mask: Tensor | None = None) -> Stream:
        x, y = self.post(stream[0]), stream[1]
        z = branch(self.both(x + self.pre(y)))
        return x + self.share * z, y + z

    def leave(self, stream: Stream) -> Tensor:
        post, pre, both = self.last
        return both(post(stream[0]) + pre(stream[1]))
