"""KEEL: post-LN with an input scaled by the stack's depth, and a norm before the branch (arXiv 2601.19895)."""

from torch import Tensor

from skipln.norms import Norm, layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register


@register("keel")
class Keel(Connection):
    """y = LN(αx + F(LN x)). In the stack's first layer α = 1, and the stack's first site lacks the outer LN.

    alpha: α after the first layer; null means the number of the stack's sites. Gains start at 1.
    Identities: the first site is pre-LN without a last norm; α = 1 is post-LN with F∘LN as branch. norm: for both LNs.
    """

    def __init__(
        self, dim: int, *, layout: str = "btc", place: Place, norm: Norm = layer_norm, alpha: float | None = None
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.alpha = 1.0 if place.layer == 1 else place.sites if alpha is None else alpha
        self.inner = norm(dim, layout)
        self.outer = None if place.first else norm(dim, layout)

    def forward(self, x: Tensor, branch: Branch, mask: Tensor | None = None) -> Tensor:
        y = self.alpha * x + branch(self.inner(x, mask))
        return y if self.outer is None else self.outer(y, mask)
