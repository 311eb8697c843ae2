"""xSkip and xSkip+LN with a learned λ, which the paper fixes (after Liu et al. 2020)."""

from typing import Literal

import torch
from torch import Tensor, nn

from skipln.norms import Norm, layer_norm
from skipln.seam.connection import Connection, Place
from skipln.skips import register


@register("xskip_learned", norm=None)
@register("xskip_ln_learned")
class XSkipLearned(Connection):
    """y = λx + F(x), or LN(λx + F(x)), where λ is a parameter of the site: one number, or one for each channel.

    lam: λ at the start, > 0; nothing keeps it positive in training. per: "scalar" or "channel".
    Identity: `xskip` and `xskip_ln` with the same λ at the start. norm: the `_ln` form's, LN or any other.
    """

    def __init__(
        self,
        dim: int,
        *,
        layout: str = "btc",
        place: Place,
        norm: Norm | None = layer_norm,
        lam: float = 1.0,
        per: Literal["scalar", "channel"] = "scalar",
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        shape = () if per == "scalar" else (dim, 1, 1) if layout == "nchw" else (dim,)
        self.lam = nn.Parameter(torch.full(shape, lam))
        self.norm = norm(dim, layout) if norm else None
        self.norm_of_sum = "norm" if norm else ""

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.lam * x + f
        return y if self.norm is None else self.norm(y, mask)
