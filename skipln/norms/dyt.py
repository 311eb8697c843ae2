"""DyT, dynamic tanh: a squashing function instead of a norm (Zhu et al. 2025)."""

import torch
from torch import Tensor, nn

from skipln.seam.norm import per_channel, register


@register("dyt")
class DynamicTanh(nn.Module):
    """y = γ ⊙ tanh(αx) + β, without statistics; α is one learned number, γ and β have one for each channel.

    alpha: α at the start, where γ = 1 and β = 0.
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
