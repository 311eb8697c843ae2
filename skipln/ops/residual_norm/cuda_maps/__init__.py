"""The residual site of feature maps on a GPU; ../maps.h has the same sums for a CPU.

Within a channel each step is affine in x and F: h_k = a·x + b·F + constant. So one kernel (triton_moments.py) reads the
maps and sums x, F, the gradient and their products over the pixels of each example and channel. A second kernel
(triton_forward.py, triton_backward.py) goes through all λ steps with these few numbers, and a third makes one
elementwise pass. Whatever λ is, a map is read twice and written once, and no kernel holds more than a tile of it.
"""

import torch
from torch import Tensor

from skipln.ops.residual_norm.cuda_maps import launch
from skipln.ops.residual_norm.reference import Site, dropped, memory_format


def forward(x: Tensor, f: Tensor, gains: Tensor, biases: Tensor, site: Site) -> tuple[Tensor, Tensor, Tensor]:
    """See `reference.forward`; gains, biases: float32 [1 or steps, channels]."""
    memory = memory_format(x, site.layout)
    x, f = x.contiguous(memory_format=memory), dropped(f, site).contiguous(memory_format=memory)
    maps = launch.of(x)
    sums = launch.moments(maps, x, f, None)
    factors, statistics = launch.forward_steps(maps, sums, gains, biases, site)
    return *launch.forward_maps(maps, x, f, factors, site), statistics


def backward(
    gy: Tensor, x: Tensor | None, f: Tensor | None, kept: Tensor, statistics: Tensor, gains: Tensor, biases: Tensor,
    dtypes: tuple[torch.dtype, torch.dtype], site: Site, both: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """See `reference.backward` and `cuda.backward`."""
    memory = memory_format(kept if x is None else x, site.layout)
    gy = gy.contiguous(memory_format=memory)
    if x is None or f is None:
        x, f = kept.contiguous(memory_format=memory), None
    else:
        x, f = x.contiguous(memory_format=memory), dropped(f, site).contiguous(memory_format=memory)
    maps = launch.of(x)
    sums = launch.moments(maps, x, f, gy)
    factors, weights = launch.backward_steps(maps, sums, statistics, gains, biases, site)
    gx, gf = launch.backward_maps(maps, gy, x, f, factors, dtypes, both)
    return gx, dropped(gf, site).contiguous(memory_format=memory), weights.sum(0)
