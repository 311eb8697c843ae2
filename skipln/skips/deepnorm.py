"""DeepNorm: the deeper the net, the larger post-LN's input and the smaller its weights (Wang et al. 2022)."""

from skipln.norms import Norm, layer_norm
from skipln.seam.connection import BranchModule, Place
from skipln.skips import register
from skipln.skips.xskip_norm import XSkipNorm


def constants(place: Place) -> tuple[float, float]:
    """Return (α, β) of an encoder or decoder in a net of N and M layers, or of one path of S sites (the paper's 2N)."""
    if set(place.depths) == {"encoder", "decoder"}:
        n, m = place.depths["encoder"], place.depths["decoder"]
        if place.stack == "decoder":
            return (3 * m) ** 0.25, (12 * m) ** -0.25
        return 0.81 * (n**4 * m) ** (1 / 16), 0.87 * (n**4 * m) ** (-1 / 16)
    return place.in_series**0.25, (4 * place.in_series) ** -0.25


@register("deepnorm")
class DeepNorm(XSkipNorm):
    """y = LN(αx + F(x)); F's matrices start β times as large, except those of queries and keys.

    alpha, beta: null derives them from the net's depths; for 6 + 6 layers they are 1.418 and 0.497 in the encoder,
    2.060 and 0.343 in the decoder. α = β = 1 is post-LN.
    Deviations: torchscale has 1.15 where the paper has 0.87. The paper has no constants for ResNets; here the blocks of
    all stages count as the sublayers of one stack.
    """

    def __init__(
        self,
        dim: int,
        *,
        layout: str = "btc",
        place: Place,
        norm: Norm = layer_norm,
        alpha: float | None = None,
        beta: float | None = None,
    ) -> None:
        derived = constants(place)
        super().__init__(dim, layout=layout, place=place, norm=norm, lam=derived[0] if alpha is None else alpha)
        self.beta = derived[1] if beta is None else beta

    def init_branch(self, branch: BranchModule) -> None:
        for role, weight in branch.weights().items():
            if role not in ("query", "key"):
                weight.mul_(self.beta)
