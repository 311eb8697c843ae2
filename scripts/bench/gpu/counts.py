"""What our kernels and torch's operations must move for residual sites, cross-entropy and beam attention."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from scripts.bench.gpu.moved import META, Operations, launches, operations
from scripts.bench.gpu.plain import plain_maps, plain_rows
from skipln.ops import cuda_cross_entropy, smoothed_cross_entropy
from skipln.ops.beam_attention import plain_beam_attention
from skipln.ops.residual_norm import cuda
from skipln.ops.residual_norm.reference import Site

TORCHS = "torch's sums"  # of the gradients of gains and biases, behind our kernels
Counts = tuple[
    dict[str, int], int
]  # bytes of each of our kernels (and of what torch adds to them), and of torch's operations together


def site(shape: Sequence[int], steps: int) -> Counts:
    """A residual site in bf16, forward and backward, with a gain and bias for each step.

    shape: [rows, channels], or [examples, channels, height, width] with channels last in memory.
    """
    maps = len(shape) == 4
    memory = torch.channels_last if maps else torch.contiguous_format
    x, f, g = (torch.empty(shape, dtype=torch.bfloat16, device=META).to(memory_format=memory) for _ in range(3))
    gains, biases = ([torch.empty(shape[1], device=META) for _ in range(steps)] for _ in range(2))
    settings = Site(steps, 1.0, 1e-5, 0.0, None, "nchw" if maps else "btc")
    with Operations() as torchs, launches() as forward:
        _, kept, statistics = cuda.forward(x, f, gains, biases, settings)
    first, second = (None, None) if steps == 1 else (x, f)
    with torchs, launches() as backward:
        cuda.backward(g, first, second, kept, statistics, gains, biases, (x.dtype, f.dtype), settings, steps > 1)
    backward = {f"{name}, backward" if name in forward else name: moved for name, moved in backward.items()}
    found = forward | backward | {TORCHS: torchs.total}
    leaves = [t.requires_grad_() for t in (x, f, *gains, *biases)]
    plain = plain_maps if maps else plain_rows

    def work() -> None:
        y = plain(x, f, gains, biases, steps=steps)
        torch.autograd.grad(y, leaves, g)

    return found, operations(work)


def cross_entropy(positions: int, vocabulary: int) -> Counts:
    """Label-smoothed cross-entropy of bf16 logits, forward and backward."""
    logits = torch.empty(positions, vocabulary, dtype=torch.bfloat16, device=META)
    targets = torch.empty(positions, dtype=torch.int64, device=META)
    with launches() as found:
        kept = cuda_cross_entropy.forward(logits, targets)
        cuda_cross_entropy.backward(logits, targets, kept, 0.1, torch.empty((), device=META))

    def work() -> None:
        total, _ = smoothed_cross_entropy(logits.requires_grad_(), targets, 0.1)
        torch.autograd.grad(total, logits)

    return found, operations(work)


def beam_attention(sentences: int, beam: int, length: int, dim: int, heads: int, kind: torch.dtype) -> int:
    """The bytes that torch's operations move for all steps of one decoder layer's attentions, to what is decoded so far
    and to the source: every source and translation has `length` tokens, and no hypotheses share their past."""
    return sum(
        operations(_step(sentences * beam, 1, past, dim, heads, kind))
        + operations(_step(sentences, beam, length, dim, heads, kind))
        for past in range(1, length + 1)
    )


def _step(lists: int, together: int, past: int, dim: int, heads: int, kind: torch.dtype) -> Callable[[], Tensor]:
    cache, queries = torch.zeros(lists * past, 2 * dim, dtype=kind), torch.zeros(lists * together, dim, dtype=kind)
    entries = torch.arange(lists * past).view(lists, past)
    lengths = torch.full((lists,), past)
    return partial(torch.inference_mode()(plain_beam_attention), queries, cache, entries, lengths, heads)
