"""LayerScale: each channel of the branch times a learned number that starts small (Touvron et al. 2021)."""

import torch
from torch import Tensor, nn

from skipln.seam.connection import Place
from skipln.skips import register
from skipln.skips.pre_ln import PreLN


def start(layers: int) -> float:
    """γ of a stack of so many layers: the authors' values at 12, 24 and 36 layers, each up to the next one's depth."""
    return 0.1 if layers < 24 else 1e-5 if layers < 36 else 1e-6


@register("layer_scale")
class LayerScale(PreLN):
    """y = x + γ⊙F(LN x), γ a learned vector, and a last LN.

    gamma: γ at the start; null is 0.1 at 12 layers of the stack, 1e-5 at 24, 1e-6 at 36. γ = 1 is pre-LN.
    Deviation: between those depths the authors give no value; the shallower one's is taken. timm has 1e-5 everywhere.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, gamma: float | None = None) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.gamma = nn.Parameter(torch.full((dim,), start(place.layers) if gamma is None else gamma))

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.of_channels(self.gamma) * f
