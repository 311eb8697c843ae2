"""Label-smoothed cross-entropy in one pass of exponentials, its gradient kept in the place of the logits."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """((1 − ε)·nll + ε·mean_v(−log p_v), nll), both summed over positions; only the first has a gradient.

    logits: [positions, vocabulary], computed on in float32, or float64 where they are. targets: int64 [positions].
    The same as torch.nn.functional.cross_entropy(reduction="sum", label_smoothing=ε), which takes three passes of
    exponentials for the two numbers and the gradient.
    """
    return _SmoothedCrossEntropy.apply(logits, targets, smoothing)


class _SmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        index = targets.unsqueeze(1)
        highest = scores.amax(1, keepdim=True)
        exponentials = (scores - highest).exp_()
        sums = exponentials.sum(1, keepdim=True)
        log_normaliser = highest + sums.log()
        nll = (log_normaliser - scores.gather(1, index)).sum()
        mean = (log_normaliser.squeeze(1) - scores.mean(1)).sum()

        # d total / d scores = p − (1 − ε)·[v = target] − ε / V
        gradient = exponentials.mul_(sums.reciprocal()).sub_(smoothing / scores.size(1))
        gradient.scatter_add_(1, index, torch.full_like(index, smoothing - 1, dtype=gradient.dtype))
        ctx.save_for_backward(gradient.to(logits.dtype))
        ctx.mark_non_differentiable(nll)
        return (1 - smoothing) * nll + smoothing * mean, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * total_gradient, None, None
