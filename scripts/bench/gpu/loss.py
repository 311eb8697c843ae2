"""Compare the kernels of label-smoothed cross-entropy with torch's operations: time, error and memory."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.bench.gpu.timing import milliseconds
from skipln.ops.cross_entropy import _ByKernels, _SmoothedCrossEntropy

SHAPES = ((4096, 32_000), (4096, 6000))  # positions, words
SMOOTHING = 0.1


def cross_entropy(device: torch.device, n: int, shapes: Sequence[tuple[int, int]] = SHAPES) -> dict[str, Any]:
    """For kernels, our plain form and torch's own loss: milliseconds of forward and backward with bf16 logits; the
    error of the gradient, relative to its largest number in float64; peak_mb: memory beyond the logits."""
    sides: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "kernels": lambda logits, targets: _ByKernels.apply(logits, targets, SMOOTHING)[0],
        "plain": lambda logits, targets: _SmoothedCrossEntropy.apply(logits, targets, SMOOTHING)[0],
        "torch": lambda logits, targets: F.cross_entropy(
            logits.float(), targets, reduction="sum", label_smoothing=SMOOTHING
        ),
    }
    found: dict[str, Any] = {}
    for positions, words in shapes:
        logits = (3 * torch.randn(positions, words, device=device)).bfloat16().requires_grad_()
        targets = torch.randint(words, (positions,), device=device)
        few = logits[:64].detach().double().requires_grad_()
        loss = F.cross_entropy(few, targets[:64], reduction="sum", label_smoothing=SMOOTHING)
        (exact,) = torch.autograd.grad(loss, few)
        case = {}
        for name, side in sides.items():
            error = (_gradient(side, logits, targets)[:64] - exact).abs().max() / exact.abs().max()
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
            times = milliseconds(partial(_gradient, side, logits, targets), device, n)
            peak = torch.cuda.max_memory_allocated() - before if device.type == "cuda" else 0
            case[name] = {"milliseconds": median(times), "error": float(error), "peak_mb": round(peak / 1e6, 1)}
        found[f"{positions}×{words}"] = case
    return found


def _gradient(side: Callable[[Tensor, Tensor], Tensor], logits: Tensor, targets: Tensor) -> Tensor:
    return torch.autograd.grad(side(logits, targets), logits)[0]
