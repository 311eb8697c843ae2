"""NormFormer: pre-LN with more norms and scales inside and after the branches (Shleifer et al. 2021)."""

import torch
from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import BranchModule, Place
from skipln.skips import register
from skipln.skips.pre_ln import PreLN


class HeadScale(nn.Module):
    """Multiplies each head's part of [batch, time, dim] by a learned number that starts at 1."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(heads))

    def forward(self, x: Tensor) -> Tensor:
        return (x.unflatten(-1, (len(self.scale), -1)) * self.scale[:, None]).flatten(-2)


@register("normformer")
class NormFormer(PreLN):
    """y = x + LN(F(LN x)) for attention, whose heads are scaled; y = r⊙x + F(LN x) elsewhere, with an LN in F after its
    last activation; a last LN after the stack. All gains and scales start at 1.

    scale_residual: whether r is a learned vector, which the paper leaves out of its large models, or always 1.
    Identities: `sandwich_ln` for attention and `pre_ln` elsewhere, where F includes what is put into it.
    Deviation: in a ResNet the blocks are treated like feed-forward networks.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, scale_residual: bool = False) -> None:
        super().__init__(dim, layout=layout, place=place)
        attends = place.branch.endswith("attention")
        self.after = layer_norm(dim, layout) if attends else nn.Identity()
        self.residual = nn.Parameter(torch.ones(dim)) if scale_residual and not attends else None

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return (x if self.residual is None else self.of_channels(self.residual) * x) + self.after(f)

    def init_branch(self, branch: BranchModule) -> None:
        attends = self.place.branch.endswith("attention")
        branch.before_output(lambda channels: HeadScale(branch.heads) if attends else layer_norm(channels, self.layout))
