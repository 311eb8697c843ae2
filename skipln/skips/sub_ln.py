"""Sub-LN: pre-LN with a second norm before a branch's last matrix (Magneto, Wang et al. 2022)."""

import math

from skipln.norms import layer_norm
from skipln.seam.connection import BranchModule, Place
from skipln.skips import register
from skipln.skips.pre_ln import PreLN


def start(place: Place) -> float:
    """Return γ: √(ln 3M · ln 2N / 3) in an encoder and √ln 3M in a decoder of N and M layers, else √ln S of S sites."""
    if set(place.depths) == {"encoder", "decoder"}:
        n, m = math.log(2 * place.depths["encoder"]), math.log(3 * place.depths["decoder"])
        return math.sqrt(m if place.stack == "decoder" else m * n / 3)
    return math.sqrt(math.log(place.in_series)) if place.in_series > 1 else 1.0


@register("sub_ln")
class SubLN(PreLN):
    """y = x + F(LN x) with another LN before F's last matrix, and a last LN; F's matrices start γ times as large.

    gamma: γ; null derives it from the net's depths, as √ln 2N for one stack of 2N sites. The matrices of queries, keys
    and attention to the source are not scaled. Deviation: the paper has no γ for ResNets; here every block is a site.
    Identity: pre-LN with γ = 1 and the inner norms left out.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, gamma: float | None = None) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.gamma = start(place) if gamma is None else gamma

    def init_branch(self, branch: BranchModule) -> None:
        branch.before_output(lambda channels: layer_norm(channels, self.layout))
        if self.place.branch != "source_attention":
            for role, weight in branch.weights().items():
                if role not in ("query", "key"):
                    weight.mul_(self.gamma)
