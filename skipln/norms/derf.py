"""Derf, dynamic erf: the Gaussian distribution function instead of a norm (arXiv 2512.10938)."""

import torch
from torch import Tensor, nn

from skipln.seam.norm import per_channel, register


@register("derf")
class DynamicErf(nn.Module):
    """y = γ ⊙ erf(αx + s) + β; α and s are learned numbers, γ and β have one for each channel.

    alpha: α at the start, where s = 0, γ = 1 and β = 0.
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
