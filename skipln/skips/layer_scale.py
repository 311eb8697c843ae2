"""LayerScale: each channel of the branch is multiplied by a learned number that starts small (Touvron et al. 2021)."""

import torch
from torch import Tensor, nn

from skipln.seam.connection import Place
from skipln.skips import register
from skipln.skips.pre_ln import PreLN


def start(layers: int) -> float:
    """Return the authors' γ for stacks of 12, 24 and 36 layers; each value holds up to the next of these depths."""
    return 0.1 if layers < 24 else 1e-5 if layers < 36 else 1e-6


@register("layer_scale")
class LayerScale(PreLN):
    """y = x + γ⊙F(LN x), where γ is a learned vector, and a last LN.

    gamma: γ at the start; null means 0.1 for a stack of 12 layers, 1e-5 for 24, 1e-6 for 36. γ = 1 is pre-LN.
    Deviation: between these depths the authors give no value; ours is the shallower depth's. timm has 1e-5 everywhere.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, gamma: float | None = None) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.gamma = nn.Parameter(torch.full((dim,), start(place.layers) if gamma is None else gamma))

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.of_channels(self.gamma) * f
