"""The output layer and its cross-entropy, in chunks of positions against all logits at once: time and memory."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from scripts.bench.parts.pieces import torchs_cross_entropy
from scripts.bench.records.harness import Part, Sides
from scripts.bench.records.memory import allocated
from skipln.ops import output_cross_entropy

POSITIONS, DIM = 2048, 256


def against_the_whole(vocabulary: int, precision: str) -> Sides:
    torch.manual_seed(0)
    hidden, weight = torch.randn(POSITIONS, DIM), torch.randn(vocabulary, DIM) * DIM**-0.5
    hidden.requires_grad_(), weight.requires_grad_()
    targets = torch.randint(vocabulary, (POSITIONS,))

    def work(function: Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]], _k: int) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            total, _ = function(hidden, weight, targets, 0.1)
        torch.autograd.grad(total, (hidden, weight))

    ours, whole = partial(work, output_cross_entropy), partial(work, torchs_cross_entropy)
    return Sides(ours, whole, partial(allocated, {"ours": partial(ours, 0), "peer": partial(whole, 0)}, "all at once"))


PARTS = [
    Part(f"output-{vocabulary}", "skipln {precision}, 512 positions at a time", "all logits and torch's cross_entropy",
         f"output layer, cross-entropy, nll and gradients; {POSITIONS} positions of {DIM}, {vocabulary:,} words",
         partial(against_the_whole, vocabulary), n=10)
    for vocabulary in (6_000, 32_000)
]  # fmt: skip
