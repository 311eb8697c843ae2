"""xSkip+LN and xSkip+BN: the input is scaled, and a norm repairs the sum (Liu et al. 2020)."""

from torch import Tensor

from skipln.norms import Norm, batch_norm, layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.seam.fused import join_in_one_pass
from skipln.skips import register


@register("xskip_ln")
@register("xskip_bn", norm=batch_norm)
class XSkipNorm(Connection):
    """y = LN(λx + F(x)).

    lam: λ > 0, fixed. norm: LN, or any factory (dim, layout) -> module; BN in `xskip_bn`.
    Identity: λ = 1 is the post-LN block of Vaswani et al. 2017.
    """

    norm_of_sum = "norm"

    def __init__(
        self, dim: int, *, layout: str = "btc", place: Place, norm: Norm = layer_norm, lam: float = 1.0
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.lam = lam
        self.norm = norm(dim, layout)

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.norm((x if self.lam == 1 else self.lam * x) + f, mask)

    def forward(self, x: Tensor, branch: Branch, mask: Tensor | None = None) -> Tensor:
        return join_in_one_pass(self.join, x, branch, mask, norms=[self.norm], scale=self.lam)
