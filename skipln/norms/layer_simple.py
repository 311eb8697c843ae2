"""LN-simple: layer normalisation without gain and bias (Xu et al. 2019)."""

from skipln.norms.layer import LayerNorm
from skipln.seam.norm import register


@register("layer_simple")
class LayerNormSimple(LayerNorm):
    """y = (x − mean) / sqrt(var + eps): `LayerNorm` with its gain fixed at 1 and its bias at 0.

    This is not timm's SimpleNorm, which does not subtract the mean.
    """

    def __init__(self, dim: int, layout: str = "btc", *, eps: float = 1e-5, axes: str = "all") -> None:
        super().__init__(dim, layout, eps=eps, axes=axes)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)
