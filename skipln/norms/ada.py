"""AdaNorm: a gain that is a function of what it multiplies (Xu et al. 2019)."""

import torch
from torch import Tensor, nn

from skipln.seam.norm import register


@register("ada")
class AdaNorm(nn.Module):
    """z = C·(1 − k·y) ⊙ y with y = (x − mean) / (std + eps); the factor 1 − k·y gets no gradient. Nothing is learned.

    std is unbiased, and eps is outside the root; but for these two, k = 0 and C = 1 give LN-simple.
    c: C. The paper tunes it between 0.8 and 2, and its code has 2; 1 keeps the scale of LN.
    layout, axes: see `LayerNorm`. This is not "AdaLN", whose gain is a function of a condition.
    Raises ValueError for a single channel, which has no unbiased standard deviation.
    """

    def __init__(
        self, dim: int, layout: str = "btc", *, k: float = 0.1, c: float = 1.0, eps: float = 1e-5, axes: str = "all"
    ) -> None:
        super().__init__()
        self.k, self.c, self.eps = k, c, eps
        self.over = (-1,) if layout == "btc" else (1,) if axes == "channel" else (1, 2, 3)
        if dim == 1 and len(self.over) == 1:
            raise ValueError("ada: a single channel has no unbiased standard deviation: give at least 2")

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # even under autocast: squares in bf16 are too coarse
        std, mean = torch.std_mean(wide, self.over, keepdim=True)
        y = (wide - mean) / (std + self.eps)
        return (self.c * (1 - self.k * y).detach() * y).to(x.dtype)
