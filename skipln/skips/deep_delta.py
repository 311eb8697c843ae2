"""Deep delta learning: the component of x along a direction is replaced by a learned value (arXiv 2601.00417)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.seam.connection import Branch, Place
from skipln.skips import register
from skipln.skips.pre_ln import PreLN


@register("deep_delta")
class DeepDelta(PreLN):
    """y = x + β(v − k·x)k, k = F(LN x) / ‖F(LN x)‖, β = 2σ(b·LN x + b₀), v = 4σ(a·x + a₀); a last LN after the stack.

    Each position or pixel is treated by itself, over its channels. beta: β at the start, between 0 and 2; a, b and a₀
    start at 0 (the authors' are random). Identities: k·y = v at β = 1; y → x as β → 0; β = 2 and v = 0 reflect x.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, beta: float = 1.0) -> None:
        super().__init__(dim, layout=layout, place=place)
        if not 0 < beta < 2:
            raise ValueError(f"deep_delta: beta is a number between 0 and 2, not {beta}")
        self.value, self.gate = nn.Linear(dim, 1), nn.Linear(dim, 1)
        for linear, start in ((self.value, 0.0), (self.gate, math.log(beta / (2 - beta)))):
            nn.init.zeros_(linear.weight)
            nn.init.constant_(linear.bias, start)

    def forward(self, x: Tensor, branch: Branch, mask: Tensor | None = None) -> Tensor:
        h = self.read(x)
        k = F.normalize(branch(h), dim=self.channels)
        beta = 2 * self._at_each(self.gate, h)
        v = 4 * self._at_each(self.value, x)
        return x + beta * (v - (k * x).sum(self.channels, keepdim=True)) * k

    def _at_each(self, linear: nn.Linear, x: Tensor) -> Tensor:
        """Return σ of a linear function of every position; the channels keep their dimension."""
        return torch.sigmoid(linear(x.movedim(self.channels, -1))).movedim(-1, self.channels)
