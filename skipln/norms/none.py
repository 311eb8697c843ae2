"""No norm, by name: it shows what a form gives when nothing repairs its scale."""

from torch import Tensor, nn

from skipln.seam.norm import register


@register("none")
class NoNorm(nn.Module):
    """y = x. Identities: `xskip_ln` with it is `xskip`, and `rskip_ln` is λx + F(x)."""

    def __init__(self, dim: int, layout: str = "btc") -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x
