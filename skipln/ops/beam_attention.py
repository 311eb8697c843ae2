"""Attention of a beam's newest tokens to all before them, which are kept where they were computed and never moved."""

from pathlib import Path

import torch
from torch import Tensor

from skipln.ops.attention import attention
from skipln.ops.compiled import inference_kernel

SOURCE = Path(__file__).with_suffix(".cpp")


def beam_attention(queries: Tensor, cache: Tensor, ancestors: Tensor, heads: int) -> Tensor:
    """softmax(q Kᵀ / √d) V of one query a row, where row r's keys and values of step t are cache[t, ancestors[t, r]].

    queries: [rows, dim]. cache: [steps, slots, 2·dim], keys then values. ancestors: int64 [steps, rows].
    Returns [rows, dim]. Hypotheses share what their common ancestors left, so a beam that is reordered moves only
    numbers of slots, and what it reads stays in the processor's cache. On the CPU, where no gradient is asked for, by a
    compiled kernel.
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
    """The same by gathering every row's keys and values."""
    times = torch.arange(len(ancestors), device=cache.device).unsqueeze(1)
    kept = cache[times, ancestors].unflatten(-1, (2, heads, -1))  # [steps, rows, 2, heads, depth]
    keys, values = kept.permute(2, 1, 3, 0, 4)
    return attention(queries.unflatten(-1, (heads, 1, -1)), keys, values).flatten(1)
