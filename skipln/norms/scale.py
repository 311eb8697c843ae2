"""ScaleNorm: one learned length for every vector (Nguyen & Salazar 2019)."""

import torch
from torch import Tensor, nn

from skipln.seam.norm import register


@register("scale")
class ScaleNorm(nn.Module):
    """y = g·x / max(‖x‖, eps), over the channels of each position or pixel; g is one number that starts at √dim.

    Identity: RMSNorm whose gains are all g / √dim, but for eps.
    """

    def __init__(self, dim: int, layout: str = "btc", *, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = -1 if layout == "btc" else 1, eps
        self.weight = nn.Parameter(torch.tensor(dim**0.5))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # even under autocast: squares in bf16 are too coarse
        length = torch.linalg.vector_norm(wide, dim=self.channels, keepdim=True).clamp(min=self.eps)
        return (self.weight * wide / length).to(x.dtype)
