"""Root-mean-square normalisation (Zhang & Sennrich 2019)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.seam.norm import per_channel, register


@register("rms")
class RMSNorm(nn.Module):
    """y = g ⊙ x / sqrt(mean(x²) + eps), with g = 1 at the start, over the channels of each position or pixel.

    layout "nchw": axes="all" takes the mean over (C, H, W) of each example, as LN does.
    """

    def __init__(self, dim: int, layout: str = "btc", *, eps: float = 1e-6, axes: str = "channel") -> None:
        super().__init__()
        self.dim, self.layout, self.eps, self.axes = dim, layout, eps, axes
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.layout == "btc":
            return F.rms_norm(x, (self.dim,), self.weight, self.eps)
        if self.axes == "channel":
            return F.rms_norm(x.movedim(1, -1), (self.dim,), self.weight, self.eps).movedim(-1, 1)
        return per_channel(self.weight, self.layout) * F.rms_norm(x, x.shape[1:], eps=self.eps)
