"""Attention of a beam's newest tokens to all earlier ones, whose keys and values are never moved."""

from pathlib import Path

import torch
from torch import Tensor

from skipln.ops.attention import attention
from skipln.ops.compiled import inference_kernel

SOURCE = Path(__file__).with_suffix(".cpp")


def beam_attention(queries: Tensor, cache: Tensor, ancestors: Tensor, heads: int) -> Tensor:
    """softmax(q Kᵀ / √d) V for one query per row; row r's keys and values of step t are cache[t, ancestors[t, r]].

    queries: [rows, dim]. cache: [steps, slots, 2·dim], keys then values. ancestors: int64 [steps, rows].
    Returns [rows, dim]. Hypotheses share the keys and values of their common ancestors: reordering a beam moves only
    slot numbers, and what the beam reads stays in the processor's cache. A compiled kernel computes it on the CPU where
    no gradient is asked for.
    """
    kernel = inference_kernel(SOURCE, queries, cache)
    if kernel is None:
        return plain_beam_attention(queries, cache, ancestors, heads)
    out = torch.empty_like(queries, memory_format=torch.contiguous_format)
    rows, dim = queries.shape
    sizes = (rows, len(ancestors), cache.size(1), heads, dim // heads, torch.get_num_threads())
    kernel(sizes, queries.contiguous(), cache.contiguous(), ancestors.contiguous(), out)
    return out


def plain_beam_attention(queries: Tensor, cache: Tensor, ancestors: Tensor, heads: int) -> Tensor:
    """Compute the same by gathering every row's keys and values."""
    times = torch.arange(len(ancestors), device=cache.device).unsqueeze(1)
    kept = cache[times, ancestors].unflatten(-1, (2, heads, -1))  # [steps, rows, 2, heads, depth]
    keys, values = kept.permute(2, 1, 3, 0, 4)
    return attention(queries.unflatten(-1, (heads, 1, -1)), keys, values).flatten(1)
