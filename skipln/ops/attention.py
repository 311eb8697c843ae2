"""Attention (Vaswani et al. 2017, section 3.2.1), on a CPU and for short sentences faster than torch's own."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.ops.compiled import Kernel, cpu_kernel

SOURCE = Path(__file__).with_suffix(".cpp")
# The most keys with which ours is faster than torch's own: `make bench BENCH="attention-14 attention-128
# attention-27-fp32"`. In float64 ours is there for its second gradient, which torch's own lacks.
SHORT = {torch.bfloat16: 128, torch.float32: 32, torch.float64: 64}


def attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """softmax(Q Kᵀ / √d) V, as in `F.scaled_dot_product_attention`; all [batch, heads, time, d].

    mask: bool, broadcastable to [batch, heads, query time, key time], True where attention is allowed. causal: each
    query sees the keys up to its own position; excludes `mask`. dropout: the probability of dropping a weight.
    """
    if queries.device.type != "cpu" or keys.size(-2) > SHORT.get(queries.dtype, 0) or queries.size(-2) == 1:
        return F.scaled_dot_product_attention(queries, keys, values, mask, dropout, causal)
    return short_attention(queries, keys, values, mask, dropout, causal)


def short_attention(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, dropout: float = 0.0, causal: bool = False
) -> Tensor:
    """Compute attention by a compiled kernel with float32 scores and weights, or else by `plain_attention`.

    The kernel takes float32 and bfloat16, without dropout.
    """
    if queries.dtype == keys.dtype == values.dtype and not dropout and queries.numel():
        kernel = None if torch.compiler.is_compiling() else cpu_kernel(SOURCE, queries.dtype)
        if kernel is not None:
            return _Attention.apply(queries, keys, values, mask, causal, kernel)
    return plain_attention(queries, keys, values, mask, dropout, causal)


def plain_attention(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, dropout: float, causal: bool
) -> Tensor:
    """Compute the formula operation by operation, with scores and their softmax in at least float32."""
    kind = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        scores = (queries.to(kind) / math.sqrt(queries.size(-1))) @ keys.to(kind).transpose(-1, -2)
        if causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(-1).to(values.dtype)
        return F.dropout(weights, dropout, dropout > 0) @ values


class _Attention(torch.autograd.Function):
    """Attention by the kernel. The backward recomputes the weights; to be differentiated it takes the plain form."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, causal: bool, kernel: Kernel
    ) -> Tensor:
        ctx.save_for_backward(queries, keys, values, mask)
        ctx.causal, ctx.kernel = causal, kernel
        out = _time_first(queries)
        _run(kernel, queries, keys, values, mask, causal, out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, mask = ctx.saved_tensors
        inputs = (queries, keys, values)
        if torch.is_grad_enabled():
            out = plain_attention(queries, keys, values, mask, 0.0, ctx.causal)
            found = torch.autograd.grad(out, inputs, gradient, create_graph=True)
        else:
            found = tuple(_time_first(x) for x in inputs)
            _run(ctx.kernel, queries, keys, values, mask, ctx.causal, gradient, *found)
        return *found, None, None, None


def _time_first(like: Tensor) -> Tensor:
    """Allocate [batch, heads, time, d] with a position's heads side by side in memory, as projections want them."""
    batch, heads, time, depth = like.shape
    return like.new_empty(batch, time, heads, depth).transpose(1, 2)


def _run(
    kernel: Kernel, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, causal: bool, out: Tensor,
    *gradients: Tensor,
) -> None:  # fmt: skip
    """Write `out`; or, if three `gradients` are given, write those, with `out` as the output's gradient."""
    shape = (*queries.shape[:2], queries.size(2), keys.size(2))
    rows = [x if x.stride(-1) == 1 else x.contiguous() for x in (queries, keys, values, out)]
    where = queries.new_empty(0, 0, 0, 0, dtype=torch.bool) if mask is None else mask.broadcast_to(shape)
    strides = [stride for x in (*rows, where) for stride in x.stride()[:3]]
    numbers = (*shape, queries.size(3), int(causal), torch.get_num_threads(), *strides, where.stride(3))
    nothing = [queries.new_empty(0)] * (3 - len(gradients))
    kernel(numbers, *rows[:3], where, rows[3], *gradients, *nothing)
