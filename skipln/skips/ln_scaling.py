"""LN scaling: a branch's input shrinks with the number of its layer (arXiv 2502.05795)."""

from torch import Tensor

from skipln.skips import register
from skipln.skips.pre_ln import PreLN


@register("ln_scaling")
class LNScaling(PreLN):
    """y = x + F(LN(x) / √l) in layer l (from 1) of its stack, and a last LN; initialisation ignores the depth.

    Identity: pre-LN in the first layer, and in every layer pre-LN whose gains and biases are divided by √l.
    """

    def read(self, x: Tensor) -> Tensor:
        return self.norm(x) / self.place.layer**0.5
