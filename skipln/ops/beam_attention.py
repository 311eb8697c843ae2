"""Attention of a beam's newest tokens to all before them, which are kept where they were computed and never moved."""

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from skipln.ops.attention import attention
from skipln.ops.compiled import compiled

KERNELS = {torch.float32: "attend_float", torch.bfloat16: "attend_bfloat16"}  # of beam_attention.cpp


class _Beams(ctypes.Structure):
    """`Beams` of beam_attention.cpp."""

    _fields_ = (
        ("rows", ctypes.c_int64), ("steps", ctypes.c_int64), ("slots", ctypes.c_int64), ("heads", ctypes.c_int64),
        ("depth", ctypes.c_int64), ("threads", ctypes.c_int),
    )  # fmt: skip


def beam_attention(queries: Tensor, cache: Tensor, ancestors: Tensor, heads: int) -> Tensor:
    """softmax(q Kᵀ / √d) V of one query a row, where row r's keys and values of step t are cache[t, ancestors[t, r]].

    queries: [rows, dim]. cache: [steps, slots, 2·dim], keys then values. ancestors: int64 [steps, rows].
    Returns [rows, dim]. Hypotheses share what their common ancestors left, so a beam that is reordered moves only
    numbers of slots, and what it reads stays in the processor's cache. On the CPU, where no gradient is asked for, by a
    compiled kernel.
    """
    alike = queries.device.type == "cpu" and queries.dtype == cache.dtype and queries.dtype in KERNELS
    if alike and not torch.is_grad_enabled() and (kernels := library()):
        return _by_kernel(kernels, queries.contiguous(), cache.contiguous(), ancestors.contiguous(), heads)
    return plain_beam_attention(queries, cache, ancestors, heads)


def library() -> ctypes.CDLL | None:
    return compiled(Path(__file__).with_suffix(".cpp"))


def plain_beam_attention(queries: Tensor, cache: Tensor, ancestors: Tensor, heads: int) -> Tensor:
    """The same by gathering every row's keys and values."""
    times = torch.arange(len(ancestors), device=cache.device).unsqueeze(1)
    kept = cache[times, ancestors].unflatten(-1, (2, heads, -1))  # [steps, rows, 2, heads, depth]
    keys, values = kept.permute(2, 1, 3, 0, 4)
    return attention(queries.unflatten(-1, (heads, 1, -1)), keys, values).flatten(1)


def _by_kernel(kernels: ctypes.CDLL, queries: Tensor, cache: Tensor, ancestors: Tensor, heads: int) -> Tensor:
    out = torch.empty_like(queries)
    rows, dim = queries.shape
    beams = _Beams(rows, len(ancestors), cache.size(1), heads, dim // heads, torch.get_num_threads())
    addresses = (ctypes.c_void_p(t.data_ptr()) for t in (queries, cache, ancestors, out))
    getattr(kernels, KERNELS[queries.dtype])(ctypes.byref(beams), *addresses)
    return out
