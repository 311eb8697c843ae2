"""The residual site on the CPU, computed by residual_norm.cpp."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from skipln.ops.compiled import compiled
from skipln.ops.residual_norm.reference import Site, dropped, dropped_of, memory_format

# dtypes of x and F, in the order of residual_norm.cpp
DTYPES = [(torch.float32, torch.float32), (torch.float32, torch.bfloat16), (torch.bfloat16, torch.bfloat16)]


class _Site(ctypes.Structure):
    """The struct `Site` of rows.h."""

    _fields_ = (
        ("rows", ctypes.c_int64), ("channels", ctypes.c_int64), ("pixels", ctypes.c_int64),
        ("steps", ctypes.c_int), ("channels_last", ctypes.c_int), ("scale", ctypes.c_float), ("eps", ctypes.c_float),
        ("gains", ctypes.POINTER(ctypes.c_void_p)), ("biases", ctypes.POINTER(ctypes.c_void_p)),
        ("seed", ctypes.c_uint64), ("dropped", ctypes.c_uint32), ("kept_scale", ctypes.c_float),
        ("threads", ctypes.c_int),
    )  # fmt: skip


def available(x: torch.dtype, f: torch.dtype, layout: str) -> bool:
    """Return whether there is a kernel for x and F of these dtypes; the first call may compile it."""
    return (x, f) in DTYPES and library() is not None


def library() -> ctypes.CDLL | None:
    return compiled(Path(__file__).with_name("residual_norm.cpp"))


def forward(x: Tensor, f: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor], site: Site) -> tuple[Tensor, ...]:
    """See `reference.forward`."""
    call = _Call(x, gains, biases, site)
    x, f = call.dense(x), call.branch(f)
    y = torch.empty_like(x, dtype=torch.promote_types(x.dtype, f.dtype))
    kept = torch.empty_like(y) if site.steps == 1 else y.new_empty(0)
    statistics = torch.empty(call.site.rows, site.steps, 2)
    call("forward", (x.dtype, f.dtype), x, f, y, kept if site.steps == 1 else None, statistics)
    return y, kept, statistics


def backward(
    gy: Tensor, x: Tensor | None, f: Tensor | None, kept: Tensor, statistics: Tensor, gains: Sequence[Tensor],
    biases: Sequence[Tensor], dtypes: tuple[torch.dtype, torch.dtype], site: Site, both: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """See `reference.backward`; gradients of x and F have `dtypes`. Without `both` they are equal and x's is empty."""
    call = _Call(kept if x is None else x, gains, biases, site)
    gy = call.dense(gy)
    if x is not None and f is not None:
        x, f = call.dense(x), call.branch(f)
    gx = torch.empty_like(gy, dtype=dtypes[0]) if both else None
    gf = torch.empty_like(gy, dtype=dtypes[1])
    weights = torch.empty(site.steps, 2, gains[0].numel()) if gains else torch.empty(site.steps, 2, 0)
    call("backward", dtypes, gy, x, f, kept if x is None else None, statistics, gx, gf, weights if gains else None)
    return (gx if gx is not None else gy.new_empty(0)), call.branch(gf), weights


class _Call:
    """A call of a kernel for one site."""

    def __init__(self, x: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor], site: Site) -> None:
        maps = site.layout == "nchw"
        rows = x.shape[0] if maps else x.numel() // x.shape[-1]
        channels = x.shape[1 if maps else -1] if gains else 1  # without gains, order does not matter
        pixels = x.numel() // (rows * channels)
        self.described, self.memory = site, memory_format(x, site.layout)
        last = channels > 1 and self.memory == torch.channels_last
        self.draws = site.dropout == 0 or (bool(gains) and not maps)
        threshold = dropped_of(site.dropout) if self.draws else 0
        seed = site.seed.item() if threshold and site.seed is not None else 0
        self.weights = [[w.float().contiguous() for w in group] for group in (gains, biases)]
        pointers = [_pointers(group, site.steps) for group in self.weights]
        self.site = _Site(
            rows, channels, pixels, site.steps, last, site.scale, site.eps, *pointers,
            int(seed) & (2**64 - 1), threshold, 2**32 / (2**32 - threshold), torch.get_num_threads(),
        )  # fmt: skip

    def dense(self, t: Tensor) -> Tensor:
        """Return `t` in the memory format of x, as the kernels take it."""
        return t.contiguous(memory_format=self.memory)

    def branch(self, f: Tensor) -> Tensor:
        """Return F or its gradient in that format, after dropout unless the kernel draws it itself."""
        return self.dense(f if self.draws else dropped(f, self.described))

    def __call__(self, name: str, dtypes: tuple[torch.dtype, torch.dtype], *tensors: Tensor | None) -> None:
        addresses = [None if t is None else ctypes.c_void_p(t.data_ptr()) for t in tensors]
        getattr(library(), name)(ctypes.byref(self.site), DTYPES.index(dtypes), *addresses)


def _pointers(weights: Sequence[Tensor], steps: int) -> ctypes.Array | None:
    """Return an address for each step, always the same one if there is only one set of weights."""
    if not weights:
        return None
    return (ctypes.c_void_p * steps)(*(weights[k % len(weights)].data_ptr() for k in range(steps)))
