"""Highway: a learned gate between the input and the layer's output (Srivastava et al. 2015)."""

import torch
from torch import Tensor, nn

from skipln.seam.connection import Connection, Place
from skipln.skips import register


@register("highway")
class Highway(Connection):
    """y = T⊙F(x) + (1 − T)⊙x with T = σ(Wx + b) for each channel of each position or pixel.

    bias: b at the start; the paper has −1 to −3, which favours carrying x. W starts at 0 (the authors' is random), so T
    starts as σ(b) everywhere. Identities: y → x as b → −∞, and y → F(x) as b → ∞.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, bias: float = -2.0) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.gate = nn.Linear(dim, dim)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, bias)

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        gate = torch.sigmoid(self.gate(x.movedim(self.channels, -1))).movedim(-1, self.channels)
        return x + gate * (f - x)
