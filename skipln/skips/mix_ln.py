"""Mix-LN: post-LN in the first layers, pre-LN in those after them (arXiv 2412.13795)."""

from torch import Tensor, nn

from skipln.seam.connection import Branch, Place
from skipln.skips import register
from skipln.skips.pre_ln import PreLN


@register("mix_ln")
class MixLN(PreLN):
    """y = LN(x + F(x)) in the first share·L of a stack's L layers, y = x + F(LN x) in the others, then a last LN.

    share: a quarter in the paper; only whole layers count, none of 3 and one of 4 to 7.
    Identities: pre-LN at share 0, post-LN at share 1. Deviation: in a ResNet every stage is a stack.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, share: float = 0.25) -> None:
        super().__init__(dim, layout=layout, place=place)
        if not 0 <= share <= 1:
            raise ValueError(f"mix_ln: share is a number between 0 and 1, not {share}")
        self.post = place.layer <= share * place.layers
        if self.post:
            self.last_norm = nn.Identity()  # the sum is already normalised

    def forward(self, x: Tensor, branch: Branch, mask: Tensor | None = None) -> Tensor:
        return self.norm(x + branch(x)) if self.post else super().forward(x, branch, mask)
