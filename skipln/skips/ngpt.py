"""nGPT: stream and matrices have a fixed norm, and branches turn the stream by a learned angle (arXiv 2410.01131)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.seam.connection import BranchModule, Connection, Place
from skipln.skips import register


@register("ngpt")
class NGPT(Connection):
    """y = n(x + |a|⊙(n(F(x)) − n(x))) with n(v) = v / rms(v), no LN. At the start and after every update F's matrices
    have norm 1 along the stream's channels: each row of those that read the stream, each column of the last.

    alpha: |a| at the start; a is alpha·√dim times a learned vector, which starts at 1/√dim.
    Deviations: the authors' n divides by the norm. Our stream is √dim times as large, as our attention and feed-forward
    network expect, without the authors' scales of queries, keys and hidden units. Embeddings, which are also the head,
    are not normalised: their norms act as the paper's scale of the logits, and the first site normalises their sum.
    Biases are not normalised either.
    """

    not_in_resnets = "normalises matrices along the stream's channels, but convolutions read what BN has normalised"

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, alpha: float = 0.05) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.alpha = alpha
        self.rate = nn.Parameter(torch.full((dim,), dim**-0.5))
        self.branches: tuple[BranchModule, ...] = ()

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        rate = self.of_channels((self.alpha * self.dim**0.5 * self.rate).abs())
        return self._normed(x + rate * (self._normed(f) - self._normed(x)))

    def init_branch(self, branch: BranchModule) -> None:
        self.branches = (branch,)
        self.after_step()

    def after_step(self) -> None:
        """Restore the norm of every row or column."""
        for branch in self.branches:
            for role, weight in branch.weights().items():
                weight.copy_(F.normalize(weight, dim=0 if role == "out" else 1))

    def _normed(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=self.channels) * self.dim**0.5
