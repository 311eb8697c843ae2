"""LAuReL: the sum has learned weights or a learned low-rank term (arXiv 2411.07501)."""

from typing import Literal

import torch
from torch import Tensor, nn

from skipln.seam.connection import Connection, Place
from skipln.skips import register


@register("laurel_rw")
class LaurelRW(Connection):
    """y = αF(x) + βx, where α and β are learned scalars of the site, bounded by `bound`: (α, β) = softmax(w) or σ(w).

    w = 0 at the start (our choice), so either way y = (F(x) + x) / 2. Deviation: Gemma 3n's block has another form.
    """

    def __init__(
        self, dim: int, *, layout: str = "btc", place: Place, bound: Literal["softmax", "sigmoid"] = "softmax"
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.bound = bound
        self.weights = nn.Parameter(torch.zeros(2))

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        alpha, beta = self.weights.softmax(0) if self.bound == "softmax" else self.weights.sigmoid()
        return alpha * f + beta * x


@register("laurel_lr")
class LaurelLR(Connection):
    """y = F(x) + x + BAx for each position or pixel; A [rank, dim] starts Xavier-normal, B [dim, rank] starts at 0.

    Identity: the plain skip connection at the start. rank: 16 in the paper's ResNet-50.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, rank: int = 16) -> None:
        super().__init__(dim, layout=layout, place=place)
        if rank < 1:
            raise ValueError(f"laurel_lr: rank is an integer greater than 0, not {rank}")
        self.down, self.up = nn.Linear(dim, rank, bias=False), nn.Linear(rank, dim, bias=False)
        nn.init.xavier_normal_(self.down.weight)
        nn.init.zeros_(self.up.weight)

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return f + x + self.up(self.down(x.movedim(self.channels, -1))).movedim(-1, self.channels)
