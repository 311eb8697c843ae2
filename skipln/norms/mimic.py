"""MimicNorm: does to a ResNet's weights and logits what batch norm would do (Fei et al. 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skipln.seam.norm import register


class BranchScale(nn.Module):
    """Multiplies F by one learned number s."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start))

    def forward(self, f: Tensor) -> Tensor:
        return self.weight * f


@register("mimic")
class MimicNorm(nn.Module):
    """y = x at the site. In the net, convolutions' weights keep a mean of 0, and each branch is multiplied by s.

    The mean is over the weights of an output channel, in convolutions with a fan-in > `fan_in`; it is subtracted after
    initialisation and after every update, outside the gradient. s is learned. It starts at base^c / b in the net's
    block b (from 1) with c convolutions. The third part, one batch norm on the logits, is the net's head_norm.
    Deviation: the authors' code also has a number, 1.2, on each projected shortcut. Raises ValueError in a Transformer.
    """

    def __init__(self, dim: int, layout: str = "btc", *, fan_in: int = 50, base: float = 1.2) -> None:
        super().__init__()
        if layout != "nchw":
            raise ValueError("mimic is a norm for convolutional nets: a Transformer has no convolutions")
        self.fan_in, self.base = fan_in, base
        self.centred: tuple[nn.Conv2d, ...] = ()  # modules of the net, not of this norm

    def hold_weights(self, net: nn.Module, branches: Sequence[nn.Sequential]) -> None:
        """Centre the weights of the net's convolutions from now on, and multiply each branch by a learned number."""
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
