"""Cross-entropy on a GPU by the kernels of triton_cross_entropy.py.

Forward they read the logits once from memory, backward once more, and write their gradient: six bytes for each bf16
logit, where torch's operations move many copies in float32 (results/bench/README.md counts them). No GPU has timed the
kernels yet (`python -m scripts.bench.gpu --parts cross_entropy` does), so SKIPLN_FUSED=always asks for them.
"""

import importlib
import importlib.util
from typing import Any

import torch
from torch import Tensor

from skipln.ops.choice import CHOICE

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
KEPT = 4  # numbers of a row: max x, log Σ exp(x − max x), −log p of the target, −mean of all log p
BLOCK = 4096  # words that a program holds at a time, sixteen in a lane


def chosen(logits: Tensor) -> bool:
    """Return whether the kernels compute the loss of these logits."""
    return (
        CHOICE == "always"
        and logits.device.type == "cuda"
        and logits.dtype in DTYPES
        and logits.numel() > 0
        and not torch.compiler.is_compiling()
        and importlib.util.find_spec("triton") is not None
    )


def block(vocabulary: int) -> tuple[int, int]:
    """Return the words that a program holds, and its warps."""
    words = min(BLOCK, 1 << (vocabulary - 1).bit_length())
    return words, max(1, words // 32 // 16)


def forward(logits: Tensor, targets: Tensor) -> Tensor:
    """Return, for each row of contiguous logits [rows, vocabulary], its KEPT numbers.

    −log p of a target that is not a word is NaN.
    """
    rows, vocabulary = logits.shape
    kept = logits.new_empty(rows, KEPT, dtype=torch.float32)
    words, warps = block(vocabulary)
    kernels().forward_rows[(rows,)](logits, targets, kept, vocabulary, words, num_warps=warps)
    return kept


def backward(logits: Tensor, targets: Tensor, kept: Tensor, smoothing: float, upstream: Tensor) -> Tensor:
    """Return the gradient of the logits from that of the smoothed loss, a scalar."""
    rows, vocabulary = logits.shape
    gradient = torch.empty_like(logits)
    words, warps = block(vocabulary)
    kernels().backward_rows[(rows, -(-vocabulary // words))](
        logits, targets, kept, upstream, gradient, vocabulary, smoothing, words, num_warps=warps
    )
    return gradient


def kernels() -> Any:
    """Import the module of kernels, and Triton with it."""
    return importlib.import_module("skipln.ops.triton_cross_entropy")
