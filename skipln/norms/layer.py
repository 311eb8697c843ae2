"""Layer normalisation (Ba et al. 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.seam.norm import register


@register("layer")
class LayerNorm(nn.Module):
    """y = g ⊙ (x − mean) / sqrt(var + eps) + b, with g = 1 and b = 0 at the start.

    layout "btc": x [batch, time, dim], statistics over the channels of each position.
    layout "nchw": x [batch, dim, height, width], statistics over (C, H, W) of each example with gain and bias per
    channel, as in the paper's ResNets; axes="channel" takes them over the channels of each pixel instead.
    """

    def __init__(self, dim: int, layout: str = "btc", *, eps: float = 1e-5, axes: str = "all") -> None:
        super().__init__()
        self.dim, self.layout, self.eps, self.axes = dim, layout, eps, axes
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    @property
    def in_one_pass(self) -> bool:
        """Whether the kernel of `skipln.seam.fused` computes this norm."""
        return type(self) is LayerNorm and (self.layout == "btc" or self.axes == "all")

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.layout == "btc":
            return F.layer_norm(x, (self.dim,), self.weight, self.bias, self.eps)
        if self.axes == "channel":
            pixels = F.layer_norm(x.movedim(1, -1), (self.dim,), self.weight, self.bias, self.eps)
            return pixels.movedim(-1, 1)
        return F.group_norm(x, 1, self.weight, self.bias, self.eps)  # one group of all channels: (C, H, W)


def layer_norm(dim: int, layout: str = "btc") -> LayerNorm:
    """Return LN with its defaults, the norm of every `_ln` form unless another is chosen."""
    return LayerNorm(dim, layout)
