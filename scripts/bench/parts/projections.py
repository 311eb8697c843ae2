"""Self-attention's projections as they are, queries apart from keys and values, against one product of all three."""

from functools import partial

import torch
from torch import Tensor

from scripts.bench.records.harness import Part, Sides
from skipln.ops import linear
from skipln.seam.attention import ProjectedAttention

TOKENS = 2048


def against_one_product(dim: int, precision: str) -> Sides:
    """Forward and all gradients; the one product's weights are put together at each update, as the net keeps two."""
    torch.manual_seed(0)
    made = ProjectedAttention(dim, 4)
    weights, biases = ((getattr(made.query, name), getattr(made.key_value, name)) for name in ("weight", "bias"))
    x, gradient = torch.randn(TOKENS, dim, requires_grad=True), torch.randn(TOKENS, 3 * dim)
    leaves = (x, *weights, *biases)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    whole, parts = gradient.to(kind), [part.to(kind).contiguous() for part in gradient.split((dim, 2 * dim), dim=1)]
    autocast = partial(torch.autocast, "cpu", torch.bfloat16, enabled=precision == "bf16")

    def apart(_k: int) -> list[Tensor]:
        with autocast():
            outputs = made.query(x), made.key_value(x)
        return [*outputs, *torch.autograd.grad(outputs, leaves, parts)]

    def together(_k: int) -> list[Tensor]:
        with autocast():
            output = linear(x, torch.cat(weights), torch.cat(biases))
        return [output, *torch.autograd.grad(output, leaves, whole)]

    return Sides(apart, together)


PARTS = [
    Part(f"projections-{dim}", "queries apart from keys and values, {precision}", "one product of all three",
         f"projections of a self-attention of {dim} channels and their gradients, {TOKENS:,} tokens",
         partial(against_one_product, dim), n=30)
    for dim in (256, 512)
]  # fmt: skip
