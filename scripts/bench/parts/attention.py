"""Attention alone, forward and backward, against torch's own."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.bench.records.harness import Part, Sides
from skipln.ops.attention import SHORT, short_attention

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOKENS, HEADS, DEPTH, REPEATS = 2048, 8, 64, 10


def sides(time: int, precision: str) -> Sides:
    """Padded sentences of one length, with heads split from a projection as in a model."""
    torch.manual_seed(0)
    rows = TOKENS // time
    leaves = [torch.randn(rows, time, HEADS, DEPTH, dtype=KINDS[precision], requires_grad=True) for _ in range(3)]
    mask = (torch.arange(time) < torch.randint(time // 2, time + 1, (rows, 1)))[:, None, None, :]
    gradient = torch.randn(rows, HEADS, time, DEPTH, dtype=KINDS[precision])

    def run(function: Callable[..., Tensor], _k: int) -> None:
        for _ in range(REPEATS):
            function(*(leaf.transpose(1, 2) for leaf in leaves), mask).backward(gradient)

    return Sides(partial(run, short_attention), partial(run, F.scaled_dot_product_attention))


PARTS = [
    Part(f"attention-{time}{suffix}", "skipln's short attention, {precision}", "torch's scaled_dot_product_attention",
         f"{REPEATS} × attention, forward and backward, {TOKENS} tokens in sentences of {time}, {HEADS} × {DEPTH}",
         partial(sides, time), n=20, warmup=2, precision=precision,
         goal=1.0 if time <= SHORT[KINDS[precision or "bf16"]] else None)
    for time in (14, 27, 64, 128)
    for suffix, precision in (("", None), ("-fp32", "fp32"))
]  # fmt: skip
