"""Orthogonal update: only the part of F(LN x) that is orthogonal to x is added (arXiv 2505.11881)."""

from torch import Tensor

from skipln.skips import register
from skipln.skips.pre_ln import PreLN

EPS = 1e-6  # added to ‖x‖²


@register("orthogonal_update")
class OrthogonalUpdate(PreLN):
    """y = x + f − (x·f / (‖x‖² + eps)) x with f = F(LN x), over the channels of each position or pixel, and a last LN.

    Identities: x·(y − x) = 0; y = x if f is parallel to x, and pre-LN if f is orthogonal to x.
    """

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        along = (x * f).sum(self.channels, keepdim=True) / (x.square().sum(self.channels, keepdim=True) + EPS)
        return x + f - along * x
