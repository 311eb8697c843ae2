"""The Triton kernels of label-smoothed cross-entropy: a row of logits is read once, and its gradient written once."""

# mypy: ignore-errors

import triton
import triton.language as tl

from skipln.ops import cuda_cross_entropy

KEPT = tl.constexpr(cuda_cross_entropy.KEPT)


@triton.jit
def forward_rows(logits_pointer, targets, rows_pointer, vocabulary, block: tl.constexpr):
    """Compute the KEPT numbers of a row. Its second reading comes from the GPU's cache."""
    row = tl.program_id(0).to(tl.int64)
    logits = logits_pointer + row * vocabulary
    words = tl.arange(0, block)
    most = tl.full((block,), float("-inf"), tl.float32)
    for start in range(0, vocabulary, block):
        x = tl.load(logits + start + words, start + words < vocabulary, float("-inf")).to(tl.float32)
        most = tl.maximum(most, x)
    top = tl.max(most, 0)
    exponentials, distances = tl.zeros((block,), tl.float32), tl.zeros((block,), tl.float32)
    for start in range(0, vocabulary, block):
        inside = start + words < vocabulary
        x = tl.load(logits + start + words, inside, float("-inf")).to(tl.float32) - top
        exponentials += tl.exp(x)
        distances += tl.where(inside, x, 0.0)
    log_sum = tl.log(tl.sum(exponentials, 0))
    target = tl.load(targets + row)
    is_word = (target >= 0) & (target < vocabulary)
    of_target = tl.load(logits + target, is_word, float("nan")).to(tl.float32) - top
    out = rows_pointer + row * KEPT
    tl.store(out, top)
    tl.store(out + 1, log_sum)
    tl.store(out + 2, log_sum - of_target)
    tl.store(out + 3, log_sum - tl.sum(distances, 0) / vocabulary)


@triton.jit
def backward_rows(
    logits_pointer, targets, rows_pointer, upstream, gradient_pointer, vocabulary, smoothing, block: tl.constexpr
):
    """d total / d x_v = (p_v − ε / V − (1 − ε)·[v = target]) · upstream, for `block` words of a row."""
    row = tl.program_id(0).to(tl.int64)
    words = tl.program_id(1) * block + tl.arange(0, block)
    inside = words < vocabulary
    at = row * vocabulary + words
    kept = rows_pointer + row * KEPT
    x = tl.load(logits_pointer + at, inside, 0.0).to(tl.float32)
    gradient = tl.exp(x - tl.load(kept) - tl.load(kept + 1)) - smoothing / vocabulary
    gradient = tl.where(words == tl.load(targets + row), gradient - (1 - smoothing), gradient) * tl.load(upstream)
    tl.store(gradient_pointer + at, gradient.to(gradient_pointer.dtype.element_ty), inside)
