"""Batch normalisation (Ioffe & Szegedy 2015) for feature maps and for padded sequences."""

import torch
from torch import Tensor, nn

from skipln.ops import batch_norm as normalised
from skipln.seam.norm import register


@register("batch")
class BatchNorm(nn.Module):
    """y = g ⊙ (x − mean_batch) / sqrt(var_batch + eps) + b per channel; running statistics in evaluation.

    layout "btc": x [batch, time, dim], statistics over all positions where mask [batch, time] is True (all of them
    without a mask); padding comes out as 0. layout "nchw": over batch, height and width.
    Raises ValueError in training if there is only one value per channel.
    """

    relu = False  # whether one follows, computed with it
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, dim: int, layout: str = "btc", *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.layout, self.eps, self.momentum = layout, eps, momentum
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.layout == "nchw":
            return self._normalise(x)
        if mask is None:
            return self._normalise(x.flatten(0, -2)).view_as(x)
        values = self._normalise(x[mask])
        return torch.zeros_like(x, dtype=values.dtype).masked_scatter(mask.unsqueeze(-1), values)

    def _normalise(self, values: Tensor) -> Tensor:
        """Normalise values [positions, dim] or [batch, dim, height, width]."""
        if self.training and values.numel() == values.size(1):
            raise ValueError("batch norm cannot train on one value per channel: use a larger batch")
        return normalised(
            values, self.running_mean, self.running_var, self.weight, self.bias,
            training=self.training, momentum=self.momentum, eps=self.eps, relu=self.relu,
        )  # fmt: skip


class BatchNormRelu(BatchNorm):
    """relu(BN x), in one pass."""

    relu = True


def batch_norm(dim: int, layout: str = "btc") -> BatchNorm:
    """Return BN with its defaults, the norm of every `_bn` form."""
    return BatchNorm(dim, layout)
