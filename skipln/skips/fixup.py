"""Fixup: no norm, but small weights, a scale and biases (Zhang et al. 2019)."""

import torch
from torch import Tensor, nn

from skipln.seam.connection import Branch, BranchModule, Connection, Place
from skipln.skips import register


class Bias(nn.Module):
    """Adds one learned number that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


@register("fixup")
class Fixup(Connection):
    """y = x + s·F(x + b₁) + b₂, with one more bias before F's last matrix; s and the biases are learned numbers.

    Scale s starts at 1, every bias at 0. Of F's m matrices the last starts at 0, the others start L^(−1/(2m−2)) times
    as large with L sites in series; a ResNet's classifier starts at 0. Meant for model.norm=none.
    Identities: a stack is the identity at the start; `skip` at s = 1 and b = 0, but for how its branches start.
    Deviations: inside F, biases after a matrix are the net's own, one per channel; a bottleneck has none before its
    middle convolution. In attention the m matrices are those of the values and the output.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.before, self.after = Bias(), Bias()

    def forward(self, x: Tensor, branch: Branch, mask: Tensor | None = None) -> Tensor:
        return self.after(x + self.scale * branch(self.before(x)))

    def init_branch(self, branch: BranchModule) -> None:
        branch.before_output(lambda channels: Bias())
        *inner, last = [weight for role, weight in branch.weights().items() if role not in ("query", "key")]
        last.zero_()
        for weight in inner:
            weight.mul_(self.place.in_series ** (-0.5 / len(inner)))

    def init_head(self, weight: Tensor) -> None:
        weight.zero_()
