"""MimicNorm: what batch norm does to a ResNet's weights and logits, without it (Fei et al. 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skipln.seam.norm import register


class BranchScale(nn.Module):
    """s·F, s one learned number."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start))

    def forward(self, f: Tensor) -> Tensor:
        return self.weight * f


@register("mimic")
class MimicNorm(nn.Module):
    """y = x at the site. Of the net: convolutions' weights keep a mean of 0, and each branch is multiplied by s.

    The mean is over the weights of an output channel, in convolutions of a fan-in > `fan_in`; it is subtracted after
    the initialisation and after every update, outside of the gradient. s is learned; of c convolutions in the net's
    block b (from 1) it starts at base^c / b. The third part, one batch norm on the logits, is the net's head_norm.
    Deviation: the authors' code has a number of 1.2 on each projected shortcut too. Raises ValueError in a Transformer.
    """

    def __init__(self, dim: int, layout: str = "btc", *, fan_in: int = 50, base: float = 1.2) -> None:
        super().__init__()
        if layout != "nchw":
            raise ValueError("mimic is a norm for nets of convolutions: a Transformer has none")
        self.fan_in, self.base = fan_in, base
        self.centred: tuple[nn.Conv2d, ...] = ()  # modules of the net's, not of its own

    def hold_weights(self, net: nn.Module, branches: Sequence[nn.Sequential]) -> None:
        found = (module for module in net.modules() if isinstance(module, nn.Conv2d))
        self.centred = tuple(module for module in found if module.weight[0].numel() > self.fan_in)
        for block, branch in enumerate(branches, 1):
            count = sum(isinstance(module, nn.Conv2d) for module in branch.modules())
            branch.append(BranchScale(self.base**count / block))
        self.after_step()

    @torch.no_grad()
    def after_step(self) -> None:
        for convolution in self.centred:
            convolution.weight -= convolution.weight.mean((1, 2, 3), keepdim=True)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x
