"""A connection that knows its depth and initialises its branch."""

import torch
from torch import Tensor

from skipln.norms import Norm, layer_norm
from skipln.seam.connection import BranchModule, Connection
from skipln.seam.place import Place
from skipln.skips import register


@register("made_deep")
class MadeDeep(Connection):
    """y = LN(α·x + F(x)), α = (2N)^¼ unless given, N all layers of the net; F's last matrix begins N times smaller."""

    def __init__(
        self, dim: int, *, layout: str = "btc", place: Place, norm: Norm = layer_norm, alpha: float | None = None
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.layers = sum(place.depths.values())
        self.alpha = (2 * self.layers) ** 0.25 if alpha is None else alpha
        self.norm = norm(dim, layout)

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.norm(self.alpha * x + f, mask)

    @torch.no_grad()
    def init_branch(self, branch: BranchModule) -> None:
        *_, last = branch.weights().values()
        last /= self.layers
