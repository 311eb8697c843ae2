"""Sandwich-LN, later named Peri-LN: norms on both sides of the branch (Ding et al. 2021; arXiv 2502.02732)."""

from torch import Tensor

from skipln.norms import layer_norm
from skipln.seam.connection import Place
from skipln.skips import register
from skipln.skips.pre_ln import PreLN


@register("sandwich_ln")
@register("peri_ln")
class SandwichLN(PreLN):
    """y = x + LN(F(LN x)), and a last LN after the stack; gains start at 1. The formula has two names.

    Identity: pre-LN with LN∘F as branch, so F's scale has no effect. Deviation: Peri-LN's optional norm of the
    embeddings is left out, since it is no part of a connection.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.after = layer_norm(dim, layout)

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.after(f)
