"""skip and xSkip: the input is scaled by a fixed λ, without a norm or before the branch's norm (Liu et al. 2020)."""

from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register


@register("skip", lam=1.0)
@register("xskip")
class XSkip(Connection):
    """y = λx + F(x); with `pre_norm`, y = λx + F(LN x) and one more LN after the stack's last site.

    lam: λ > 0, fixed (not learned); λ = 1 is the plain skip connection.
    pre_norm: the pre-LN placement (Xiong et al. 2020); with λ = 1 this is the pre-LN Transformer.
    """

    def __init__(
        self, dim: int, *, layout: str = "btc", place: Place, lam: float = 2.0, pre_norm: bool = False
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.lam = lam
        self.norm = layer_norm(dim, layout) if pre_norm else nn.Identity()
        self.last_norm = layer_norm(dim, layout) if pre_norm and place.last else nn.Identity()

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return (x if self.lam == 1 else self.lam * x) + f

    def forward(self, x: Tensor, branch: Branch, mask: Tensor | None = None) -> Tensor:
        return self.join(x, branch(self.norm(x)))

    def leave(self, stream: Tensor) -> Tensor:
        return self.last_norm(stream)
