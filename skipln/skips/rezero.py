"""ReZero and SkipInit: the branch is multiplied by a learned number that starts at zero."""

import torch
from torch import Tensor, nn

from skipln.seam.connection import Connection, Place
from skipln.skips import register


@register("rezero")
@register("skipinit")
class ReZero(Connection):
    """y = x + αF(x) without a norm, where α is a learned scalar of the site (Bachlechner et al. 2020; De & Smith 2020).

    The formula has two names; SkipInit is meant for a net that has no norm elsewhere either (model.norm=none).
    alpha: α at the start; at 0, the papers' value, a stack starts as the identity.
    Deviation: ReZero's own Transformer shares α between the sites of a layer; here each site has one.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, alpha: float = 0.0) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.alpha = nn.Parameter(torch.tensor(alpha))

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.alpha * f
