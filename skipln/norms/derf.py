"""Derf, dynamic erf: the Gaussian's distribution function in the place of a norm (arXiv 2512.10938)."""

import torch
from torch import Tensor, nn

from skipln.seam.norm import per_channel, register


@register("derf")
class DynamicErf(nn.Module):
    """y = γ ⊙ erf(αx + s) + β; α and s one learned number each, γ and β one for each channel; at the start s = 0,
    γ = 1, β = 0. alpha: α at the start.
    """

    def __init__(self, dim: int, layout: str = "btc", *, alpha: float = 0.5) -> None:
        super().__init__()
        self.layout = layout
        self.alpha, self.shift = nn.Parameter(torch.tensor(alpha)), nn.Parameter(torch.tensor(0.0))
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        gain, bias = (per_channel(parameter, self.layout) for parameter in (self.weight, self.bias))
        return gain * torch.erf(self.alpha * x + self.shift) + bias
