"""DyT, dynamic tanh: a squashing in the place of a norm (Zhu et al. 2025)."""

import torch
from torch import Tensor, nn

from skipln.seam.norm import per_channel, register


@register("dyt")
class DynamicTanh(nn.Module):
    """y = γ ⊙ tanh(αx) + β: no statistics; α one learned number, γ = 1 and β = 0 at the start, one for each channel.

    alpha: α at the start.
    """

    def __init__(self, dim: int, layout: str = "btc", *, alpha: float = 0.5) -> None:
        super().__init__()
        self.layout = layout
        self.alpha = nn.Parameter(torch.tensor(alpha))
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        gain, bias = (per_channel(parameter, self.layout) for parameter in (self.weight, self.bias))
        return gain * torch.tanh(self.alpha * x) + bias
