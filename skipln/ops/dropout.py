"""Dropout with four random numbers from each 64-bit draw on the CPU, where drawing costs more than multiplying."""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """y = x ⊙ m / (1 − p) with m ~ Bernoulli(1 − p) in training, y = x in evaluation.

    On the CPU p is rounded to a multiple of 2⁻¹⁶ and m comes from torch's default generator, a quarter of the draws of
    torch.nn.Dropout, which is used elsewhere.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.p)
        return x * keep_scaled(x, self.p)


def keep_scaled(x: Tensor, p: float) -> Tensor:
    """A tensor like x with 1 / (1 − p) where x is kept and 0 where it is dropped."""
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    dropped = round(p * 2**16)
    kept = draws[: x.numel()] >= dropped - 2**15
    return (kept.to(x.dtype) * (2**16 / (2**16 - dropped))).view(x.shape)
