"""FAVOR+ against softmax: time and memory by length of a whole attention with its projections, forward and backward."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from scripts.bench.records.harness import Part, Sides
from scripts.bench.records.memory import allocated
from skipln import attention

DIM, HEADS, TOKENS = 512, 8, 8192
NAMES = {"ours": "favor", "peer": "softmax"}


def work(name: str, time: int, causal: bool, precision: str) -> Callable[[int], None]:
    """Attention `name`, forward and backward, over TOKENS tokens in sentences of `time` tokens."""
    torch.manual_seed(0)
    made = attention.create(name)(DIM, HEADS, 0.0)
    x = torch.randn(TOKENS // time, time, DIM, requires_grad=True)
    gradient = torch.randn(x.shape)

    def run(_k: int) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            y = made(x, x, causal=causal)
        y.backward(gradient.to(y.dtype))

    return run


def memory(works: dict[str, Callable[[int], None]]) -> dict[str, Any]:
    """The memory of both sides, measured after the pairs."""
    return allocated({side: partial(run, 0) for side, run in works.items()}, "softmax")


def sides(time: int, causal: bool, precision: str) -> Sides:
    works = {side: work(name, time, causal, precision) for side, name in NAMES.items()}
    return Sides(works["ours"], works["peer"], partial(memory, works))


PARTS = [
    Part(f"favor-{kind}{time}", "FAVOR+ of 256 features, {precision}", "softmax in its place",
         f"one {'causal ' if causal else ''}attention of {DIM} channels and {HEADS} heads, forward and backward, "
         f"{TOKENS} tokens in sentences of {time}",
         partial(sides, time, causal), n=5, goal=1.0 if time == TOKENS else None)
    for kind, causal in (("", False), ("causal-", True))
    for time in (512, 2048, 8192)
]  # fmt: skip
