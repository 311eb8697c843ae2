"""Label-smoothed cross-entropy of logits: loss, nll and gradient."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skipln.ops import cuda_cross_entropy


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return (1 − ε)·nll + ε·mean_v(−log p_v) and nll, both summed over positions; only the first has a gradient.

    logits: [positions, vocabulary] of any float dtype; the arithmetic is float32, or float64 for float64. targets:
    int64 [positions]. The first is torch.nn.functional.cross_entropy(reduction="sum", label_smoothing=ε).
    log p_v = (x_v − max x) − log Σ exp(x − max x) keeps its digits however far the logits are from 0. The logits are
    kept for the backward. Its gradient is multiplied by the loss's before it is rounded to their dtype, so in float16 a
    loss scale saves values below 6e-8.
    """
    if cuda_cross_entropy.chosen(logits):
        return _ByKernels.apply(logits.contiguous(), targets.contiguous(), smoothing)
    return _SmoothedCrossEntropy.apply(logits, targets, smoothing)


class _SmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        log_probs = _log_softmax(logits)
        ctx.save_for_backward(logits, targets)
        ctx.smoothing = smoothing
        nll = -log_probs.gather(1, targets.unsqueeze(1)).sum()
        ctx.mark_non_differentiable(nll)
        if not smoothing:  # avoid 0 · ∞ = NaN: a word of probability 0 that is not the target costs nothing
            return nll.clone(), nll
        return (1 - smoothing) * nll - smoothing * log_probs.mean(1).sum(), nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        logits, targets = ctx.saved_tensors
        # d total / d x_v = p_v − ε / V − (1 − ε)·[v = target]
        gradient = _log_softmax(logits).exp_().sub_(ctx.smoothing / logits.size(1))
        index = targets.unsqueeze(1)
        gradient.scatter_add_(1, index, torch.full_like(index, ctx.smoothing - 1, dtype=gradient.dtype))
        return gradient.mul_(total_gradient).to(logits.dtype), None, None


class _ByKernels(torch.autograd.Function):
    """The same by the GPU's kernels, of contiguous logits and targets."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        kept = cuda_cross_entropy.forward(logits, targets)
        ctx.save_for_backward(logits, targets, kept)
        ctx.smoothing = smoothing
        nll, mean = kept[:, 2:].sum(0)
        ctx.mark_non_differentiable(nll)
        return (1 - smoothing) * nll + smoothing * mean if smoothing else nll.clone(), nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, kept = ctx.saved_tensors
        return cuda_cross_entropy.backward(logits, targets, kept, ctx.smoothing, total_gradient.float()), None, None


def _log_softmax(logits: Tensor) -> Tensor:
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    shifted = scores - scores.amax(1, keepdim=True) if scores.size(1) else scores
    return shifted - shifted.exp().sum(1, keepdim=True).log_()
