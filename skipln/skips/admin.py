"""Admin: post-LN whose input weighs as much as all the branches before it (Liu et al. 2020, "Understanding…")."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from skipln.norms import Norm, layer_norm
from skipln.seam.connection import Connection, Place
from skipln.skips import register


@register("admin")
class Admin(Connection):
    """y = LN(ω⊙x + F(x)), where ω is a learned vector whose numbers are equal at the start.

    omega: what they start from. "profiled": 1 at a stack's first site, elsewhere √(Var(ω⊙x) + Var F) of the site
    before, over all real positions and channels of one batch, in one pass before training; until then 1. "analytic":
    √((N + 1)/ln(N + 1) − 1) for N sites in series, as in package admin-torch. Identity: post-LN at ω = 1. norm: any.
    Your own training loop must call `skipln.seam.profile.profile(net, lambda: net(batch))` before its first update.
    """

    norm_of_sum = "norm"
    profiled: Tensor

    def __init__(
        self,
        dim: int,
        *,
        layout: str = "btc",
        place: Place,
        norm: Norm = layer_norm,
        omega: Literal["profiled", "analytic"] = "profiled",
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        n = place.in_series + 1
        self.omega = nn.Parameter(torch.full((dim,), math.sqrt(n / math.log(n) - 1) if omega == "analytic" else 1.0))
        self.norm = norm(dim, layout)
        if omega == "profiled":
            self.register_buffer("profiled", torch.tensor(False))

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.norm(self.of_channels(self.omega) * x + f, mask)

    def profile(self, x: Tensor, f: Tensor, mask: Tensor | None, following: Any) -> None:
        """Set ω of the following site from what this one joins."""
        self.profiled.fill_(True)
        if following is not None:
            x, f = (part if mask is None else part[mask] for part in (self.of_channels(self.omega) * x, f))
            following.omega.fill_((x.var(correction=0) + f.var(correction=0)).sqrt())
