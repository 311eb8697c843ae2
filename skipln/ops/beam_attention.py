"""Attention of a beam's newest tokens to keys and values in a common store, where none is moved or repeated."""

from pathlib import Path

import torch
from torch import Tensor

from skipln.ops.attention import attention
from skipln.ops.compiled import inference_kernel

SOURCE = Path(__file__).with_suffix(".cpp")


def beam_attention(queries: Tensor, cache: Tensor, entries: Tensor, lengths: Tensor, heads: int) -> Tensor:
    """softmax(q Kᵀ / √d) V for one query per row, over the keys and values cache[entries[i, :lengths[i]]].

    queries: [rows, dim]; rows / lists adjacent rows share list i. cache: [any number, 2·dim], keys then values.
    entries: int64 [lists, longest]. lengths: int64 [lists], at least 1. Returns [rows, dim]. Hypotheses share the keys
    and values of their common ancestors: reordering a beam moves only the numbers of entries, and what the beam reads
    stays in the processor's cache. A compiled kernel computes it on the CPU where no gradient is asked for.
    """
    kernel = inference_kernel(SOURCE, queries, cache)
    if kernel is None:
        return plain_beam_attention(queries, cache, entries, lengths, heads)
    out = torch.empty_like(queries, memory_format=torch.contiguous_format)
    rows, dim = queries.shape
    sizes = (rows, *entries.shape, heads, dim // heads, torch.get_num_threads())
    kernel(sizes, *(x.contiguous() for x in (queries, cache, entries, lengths)), out)
    return out


def plain_beam_attention(queries: Tensor, cache: Tensor, entries: Tensor, lengths: Tensor, heads: int) -> Tensor:
    """Compute the same by gathering the keys and values of every list."""
    entries = entries[:, : int(lengths.max()) if len(lengths) else 1]
    counted = torch.arange(entries.size(1), device=entries.device) < lengths.unsqueeze(1)
    kept = cache[entries.masked_fill(~counted, 0)].unflatten(-1, (2, heads, -1))  # [lists, longest, 2, heads, depth]
    keys, values = kept.permute(2, 0, 3, 1, 4)
    together = queries.unflatten(-1, (heads, -1)).unflatten(0, (len(entries), -1)).transpose(1, 2)
    return attention(together, keys, values, counted[:, None, None, :]).transpose(1, 2).flatten(2).flatten(0, 1)
