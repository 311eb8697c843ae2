"""rSkip+LN and rSkip+BN: the input is added again and again, each time under a norm (Liu et al. 2020)."""

from torch import Tensor, nn

from skipln.norms import Norm, batch_norm, layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.seam.fused import join_in_one_pass
from skipln.skips import register


@register("rskip_ln")
@register("rskip_bn", norm=batch_norm)
class RSkipNorm(Connection):
    """y_1 = LN(x + F(x)); y_k = LN(x + y_{k-1}); the output is y_λ. λ = 1 is the post-LN block.

    Without gain and bias this is LN(a_λ·x + F) with a_1 = 1, a_{k+1} = a_k + std(a_k·x + F): the network finds the
    input's scale itself.
    lam: λ, an integer ≥ 1, the number of additions. norm: LN, or any factory (dim, layout) -> module.
    share_norm: whether all λ steps share one norm. No text that we could read settles this; the default is separate
    norms.
    """

    norm_of_sum = "norms.0"

    def __init__(
        self,
        dim: int,
        *,
        layout: str = "btc",
        place: Place,
        norm: Norm = layer_norm,
        lam: int = 2,
        share_norm: bool = False,
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.lam = lam
        self.norms = nn.ModuleList(norm(dim, layout) for _ in range(1 if share_norm else lam))

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        y = f
        for k in range(self.lam):
            y = self.norms[k % len(self.norms)](x + y, mask)
        return y

    def forward(self, x: Tensor, branch: Branch, mask: Tensor | None = None) -> Tensor:
        return join_in_one_pass(self.join, x, branch, mask, norms=list(self.norms), steps=self.lam)
