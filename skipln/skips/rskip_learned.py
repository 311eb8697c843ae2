"""rSkip+LN with a learned λ, by the closed form of its recursion (after Liu et al. 2020)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Connection, Place
from skipln.skips import register

LARGEST = 32  # a larger λ makes no difference: a doubles with each step, and by then y is LN x


@register("rskip_ln_learned")
class RSkipLearned(Connection):
    """y = LN(a_λ·x + F(x)) with a_1 = 1, a_{k+1} = a_k + std(a_k·x + F(x)); for a real λ the last step is partial.

    So a_λ = a_k + (λ − k)·std(a_k·x + F(x)) with k = ⌊λ⌋; below 1, where nothing is repeated, a_λ = λ. std is over what
    LN normalises. lam: λ at the start, > 0; nothing keeps it positive in training. per: "scalar" or "channel".
    Identities: `rskip_ln` with norms without gain and bias at an integer λ (but for eps), `xskip_ln` up to λ = 1.
    """

    norm_of_sum = "norm"

    def __init__(
        self,
        dim: int,
        *,
        layout: str = "btc",
        place: Place,
        lam: float = 2.0,
        per: Literal["scalar", "channel"] = "scalar",
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.lam = nn.Parameter(torch.full((dim,) if per == "channel" else (), lam))
        self.norm = layer_norm(dim, layout)

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        lam = self.of_channels(self.lam)
        over = (-3, -2, -1) if self.layout == "nchw" else -1
        a = torch.where(lam > 1, 1, lam)  # not clamp, so that the slope at an integer is that of the step before it
        for k in range(1, self._steps()):
            variance = (a * x + f).var(over, correction=0, keepdim=True)
            a = a + torch.where(lam <= k + 1, (lam - k).relu(), 1) * (variance + self.norm.eps).sqrt()
        return self.norm(a * x + f)

    def _steps(self) -> int:
        """Return ⌈λ⌉ for the largest λ, and a number from 1 to LARGEST even if training has made λ NaN or infinite. An
        exported graph takes LARGEST steps, of which those beyond ⌈λ⌉ change nothing."""
        if torch.compiler.is_exporting():
            return LARGEST
        largest = self.lam.detach().max().nan_to_num(1.0).clamp(1, LARGEST)
        return math.ceil(largest.item())
