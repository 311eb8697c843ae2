"""GPAS: the sum shrinks on its way forward and keeps its gradient on the way back (arXiv 2506.22049)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.seam.connection import Place
from skipln.skips import register
from skipln.skips.pre_ln import PreLN


@register("gpas")
class GPAS(PreLN):
    """z = x + F(LN x), y = z − silu(g)·z, where the subtracted z gets no gradient and g is a learned scalar; a last LN.

    g = 0 at the start. Identities: pre-LN at g = 0; ∂y/∂z = 1 whatever g is.
    Deviation: the paper has one g per layer, here each site has one.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.gate = nn.Parameter(torch.tensor(0.0))

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        z = x + f
        return z - F.silu(self.gate) * z.detach()
