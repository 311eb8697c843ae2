"""Admin: post-LN of an input that counts as much as all the branches before it (Liu et al. 2020, "Understanding…")."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from skipln.norms import Norm, layer_norm
from skipln.seam.connection import Connection, Place
from skipln.skips import register


@register("admin")
class Admin(Connection):
    """y = LN(ω⊙x + F(x)), ω a learned vector, all of whose numbers start alike.

    omega: how they start. "profiled": 1 at a stack's first site, then √(Var(ω⊙x) + Var F) of the site before, over all
    real positions and channels of one batch, in one pass before the training; until then 1. "analytic": of N sites in
    series √((N + 1)/ln(N + 1) − 1), as the package admin-torch has it. Identity: post-LN at ω = 1. norm: LN, or any.
    A training loop of one's own calls `skipln.seam.profile.profile(net, lambda: net(batch))` before its first update.
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
        """Set ω of the site that follows from what this one joins."""
        self.profiled.fill_(True)
        if following is not None:
            x, f = (part if mask is None else part[mask] for part in (self.of_channels(self.omega) * x, f))
            following.omega.fill_((x.var(correction=0) + f.var(correction=0)).sqrt())
