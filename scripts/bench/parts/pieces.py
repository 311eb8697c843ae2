"""Measure what each piece of the fast path gains: an update with it against the same update with torch's own code."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.bench.parts import resnet
from scripts.bench.parts.mt_step import SMALL, SMALL_VOCABULARY, SMALL_WORK, our_step, small_batches
from scripts.bench.peers.untuned_peer import untuned_step
from scripts.bench.records.harness import Part, Sides
from skipln.ops.batch_norm import plain_batch_norm
from skipln.seam.fused import one_pass

Switch = Callable[[], AbstractContextManager[Any]]


def torchs_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """The same as `skipln.ops.output_cross_entropy`, by torch."""
    scores = F.linear(hidden, weight).float()
    total = F.cross_entropy(scores, targets, reduction="sum", label_smoothing=smoothing)
    return total, F.cross_entropy(scores.detach(), targets, reduction="sum")


SWITCHES: dict[str, tuple[str, Switch]] = {  # piece: its replacement in words, and a context without the piece
    "attention": (
        "scaled_dot_product_attention",
        partial(patch, "skipln.attention.softmax.attention", F.scaled_dot_product_attention),
    ),
    "cross-entropy": (
        "the logits as a whole and torch's cross_entropy, for the loss and for its nll",
        partial(patch, "skipln.models.transformer.output_cross_entropy", torchs_cross_entropy),
    ),
    "residual-site": ("dropout, sum and LN one after another", partial(one_pass, False)),
}  # fmt: skip


def switched(step: Callable[[int], object], without: Switch) -> Sides:
    """`step` against itself without a piece, on the same weights."""

    def peer(k: int) -> None:
        with without():
            step(k)

    return Sides(step, peer)


def small_step(precision: str, compiled: bool = False) -> Callable[[int], None]:
    """k -> the update of `mt-step-small` on batch k."""
    batches, step = small_batches(), our_step(SMALL_VOCABULARY, SMALL, precision, compiled=compiled)
    return lambda k: step(batches[k % len(batches)])


def without_piece(name: str, precision: str) -> Sides:
    return switched(small_step(precision), SWITCHES[name][1])


def without_allocator(precision: str) -> Sides:
    """The peer is ours too, in a separate process, because a process has one allocator."""
    return Sides(small_step(precision), untuned_step("ours", torch.get_num_threads(), precision))


def with_compile(precision: str) -> Sides:
    compiled, started = small_step(precision, compiled=True), time.perf_counter()
    for k in range(3):  # three batches of three shapes compile it for any shape
        compiled(k)
    took = time.perf_counter() - started
    return Sides(compiled, small_step(precision), lambda: {"found": f"the first three updates took {took:.0f} s"})


def without_channels_last(precision: str) -> Sides:
    images = resnet.random_images()
    first = resnet.our_step(3, images, precision, memory=torch.contiguous_format)
    return Sides(resnet.our_step(3, images, precision), first)


def without_kernel_for_maps(precision: str) -> Sides:
    skip = {"name": "rskip_ln", "lam": 3}
    return switched(resnet.our_step(3, resnet.random_images(), precision, skip), partial(one_pass, False))


def without_kernel_for_batch_norm(precision: str) -> Sides:
    switch = partial(patch, "skipln.norms.batch.normalised", plain_batch_norm)
    return switched(resnet.our_step(3, resnet.random_images(), precision), switch)


PARTS = [
    *(
        Part(f"piece-{name}", "skipln {precision}", f"with {peer}", SMALL_WORK, partial(without_piece, name), n=20)
        for name, (peer, _) in SWITCHES.items()
    ),
    Part("piece-allocator", "skipln {precision}", "itself under glibc's malloc as it comes", SMALL_WORK,
         without_allocator, n=20),
    Part("piece-compile", "skipln {precision}, torch.compile(dynamic=True)", "itself, not compiled", SMALL_WORK,
         with_compile, n=20),
    Part("piece-channels-last", "skipln {precision}", "itself, channels-first", resnet.WORK.format(20),
         without_channels_last, n=10),
    Part("piece-batch-norm", "skipln {precision}", "with torch's batch norm and relu", resnet.WORK.format(20),
         without_kernel_for_batch_norm, n=20),
    Part("piece-maps", "skipln {precision}, rSkip+LN λ = 3", "with sum and LN one after another, three times",
         resnet.WORK.format(20), without_kernel_for_maps, n=10),
]  # fmt: skip
