"""res-post-LN: the branch's output is normalised, then added (Swin-v2, arXiv 2111.09883; OLMo-2, arXiv 2501.00656)."""

from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Connection, Place
from skipln.skips import register


@register("res_post_ln")
class ResPostLN(Connection):
    """y = x + LN(F(x)), and a last LN after the stack, as in both nets.

    gain: the gain of F's LN at the start; with 0 a stack starts as the identity followed by its last LN.
    Identity: sandwich-LN without its inner norm. Deviation: OLMo-2 has RMSNorm.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, gain: float = 1.0) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.after = layer_norm(dim, layout)
        nn.init.constant_(self.after.weight, gain)
        self.last_norm = layer_norm(dim, layout) if place.last else nn.Identity()

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.after(f)

    def leave(self, stream: Tensor) -> Tensor:
        return self.last_norm(stream)
