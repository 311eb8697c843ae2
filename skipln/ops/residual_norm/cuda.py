"""The residual site on a GPU: Triton kernels for rows and feature maps whose channels each have a gain and a bias.

Without gains, and with rows or channels too many for the registers of one program, it is the reference's.
tests/ops/residual_norm/test_ahead_of_time.py compiles every kernel without a GPU and checks its registers and spills.
"""

import functools
import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skipln.ops.residual_norm import cuda_maps, reference
from skipln.ops.residual_norm.cuda_maps.launch import MOST_CHANNELS, power_of_two
from skipln.ops.residual_norm.reference import Site, dropped_of

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MOST_WARPS = 8  # of a backward program, which holds a row; more would leave a thread too few registers
MOST_STEPS = 8
BLOCK = 128  # channels of a program that sums gradients of gains and biases
SUMS = 1 << 19  # programs × channels: enough programs to hide the memory's latency, few enough to add up


def forward_warps(channels: int) -> int:
    """Return the warps of a forward program, which holds one row, sixteen elements per lane.

    Fewer lanes exchange less for a mean. `python -m scripts.bench.gpu` times sixteen, eight and four elements.
    """
    return max(1, power_of_two(channels) // 32 // 16)


def backward_warps(channels: int, steps: int) -> int:
    """Return the warps of a backward program: eight elements per lane, or four if λ > 4.

    It holds every step's normalised sum, so its registers grow with steps × elements; these are the most that do not
    spill.
    """
    return max(1, power_of_two(channels) // 32 // (8 if steps <= 4 else 4))


def sum_warps(steps: int) -> int:
    """Return the warps of a program that sums weight gradients, two sums for every step and channel."""
    return 1 if steps <= 4 else 2


def available(x: torch.dtype, f: torch.dtype, layout: str) -> bool:
    """Return whether there is a kernel for x and F of these dtypes."""
    return x in DTYPES and f in DTYPES and kernels() is not None


@functools.cache
def kernels() -> Any:
    """Return the module of kernels, or None if Triton is not installed."""
    if importlib.util.find_spec("triton") is None:
        return None
    return importlib.import_module("skipln.ops.residual_norm.triton_kernels")


def forward(x: Tensor, f: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor], site: Site) -> tuple[Tensor, ...]:
    """See `reference.forward`."""
    if not _takes(x, gains, site):
        return reference.forward(x, f, gains, biases, site)
    if site.layout == "nchw":
        return cuda_maps.forward(x, f, _stacked(gains), _stacked(biases), site)
    x, f = x.contiguous(), f.contiguous()
    rows = x.numel() // x.shape[-1]
    y = torch.empty_like(x, dtype=torch.promote_types(x.dtype, f.dtype))
    kept = torch.empty_like(y) if site.steps == 1 else y.new_empty(0)
    statistics = x.new_empty(rows, site.steps, 2, dtype=torch.float32)
    kernels().forward_rows[(rows,)](
        x, f, y, kept, statistics, _stacked(gains), _stacked(biases), *_dropout(site), site.scale, site.eps,
        x.shape[-1], power_of_two(x.shape[-1]), site.steps, len(gains), site.dropout > 0,
        num_warps=forward_warps(x.shape[-1]),
    )  # fmt: skip
    return y, kept, statistics


def backward(
    gy: Tensor, x: Tensor | None, f: Tensor | None, kept: Tensor, statistics: Tensor, gains: Sequence[Tensor],
    biases: Sequence[Tensor], dtypes: tuple[torch.dtype, torch.dtype], site: Site, both: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """See `reference.backward`; gradients of x and F have `dtypes`. Without `both` they are equal and x's is empty."""
    if not _takes(gy, gains, site):
        dense = reference.memory_format(kept if x is None else x, site.layout)
        gx, gf, weights = reference.backward(gy, x, f, kept, gains, biases, site)
        gx = gx.to(dtypes[0], memory_format=dense) if both else gx.new_empty(0, dtype=dtypes[0])
        return gx, gf.to(dtypes[1], memory_format=dense), weights
    if site.layout == "nchw":
        return cuda_maps.backward(gy, x, f, kept, statistics, _stacked(gains), _stacked(biases), dtypes, site, both)
    gy = gy.contiguous()
    x, f = (kept, kept) if x is None or f is None else (x.contiguous(), f.contiguous())
    channels = gy.shape[-1]
    rows = gy.numel() // channels
    gx = torch.empty_like(gy, dtype=dtypes[0]) if both else gy.new_empty(0, dtype=dtypes[0])
    gf = torch.empty_like(gy, dtype=dtypes[1])
    gain, bias = _stacked(gains), _stacked(biases)
    means = torch.empty_like(statistics)
    kernels().backward_rows[(rows,)](
        gy, x, f, statistics, gain, bias, gx, gf, means, *_dropout(site), site.scale,
        channels, power_of_two(channels), site.steps, len(gains), site.dropout > 0, both,
        num_warps=backward_warps(channels, site.steps),
    )  # fmt: skip
    programs = min(rows, max(1, SUMS // channels))
    weights = gy.new_empty(programs, site.steps, 2, channels, dtype=torch.float32)
    kernels().backward_weights[(programs, -(-channels // BLOCK))](
        gy, x, f, statistics, means, gain, bias, weights, rows, *_dropout(site), site.scale,
        channels, BLOCK, site.steps, len(gains), site.dropout > 0, num_warps=sum_warps(site.steps),
    )  # fmt: skip
    return gx, gf, weights.sum(0)


def _takes(x: Tensor, gains: Sequence[Tensor], site: Site) -> bool:
    if not gains:
        return False
    if site.layout == "nchw":
        return x.shape[1] <= MOST_CHANNELS
    return site.steps <= MOST_STEPS and backward_warps(x.shape[-1], site.steps) <= MOST_WARPS


def _stacked(weights: Sequence[Tensor]) -> Tensor:
    """Return float32 [1 or steps, channels], without a copy of a single one."""
    return weights[0].float()[None] if len(weights) == 1 else torch.stack([weight.float() for weight in weights])


def _dropout(site: Site) -> tuple[Tensor | None, int, float]:
    threshold = dropped_of(site.dropout)
    return site.seed, threshold, 2**32 / (2**32 - threshold)
