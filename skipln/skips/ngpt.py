"""nGPT: a stream and matrices of fixed norm; a branch turns the stream by a learned angle (arXiv 2410.01131)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.seam.connection import BranchModule, Connection, Place
from skipln.skips import register


@register("ngpt")
class NGPT(Connection):
    """y = n(x + |a|⊙(n(F(x)) − n(x))), n(v) = v / rms(v), no LN. F's matrices have norm 1 along the stream's channels:
    each row of those that read it, each column of the last, at the start and after every update.

    alpha: |a| at the start, 0.05; the learned vector starts at 1/√dim, and a is it times alpha·√dim.
    Deviations: their n divides by the norm. So our stream is √dim times theirs, which is what our attention and FFN are
    made to read, without their scales of q, k and hidden. Embeddings, which are the head too, are not normed: their
    norms do what the paper's scale of the logits does, and the first site norms what they sum to. Nor are biases.
    """

    not_in_resnets = "norms matrices along the channels of a stream, and convolutions read what the net's BN has normed"

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
        """Give every row or column its norm again."""
        for branch in self.branches:
            for role, weight in branch.weights().items():
                weight.copy_(F.normalize(weight, dim=0 if role == "out" else 1))

    def _normed(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=self.channels) * self.dim**0.5
