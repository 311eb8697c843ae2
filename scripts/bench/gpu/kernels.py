"""Time each Triton kernel of residual sites alone, without its launch."""

from collections.abc import Callable
from typing import Any

import torch

from scripts.bench.gpu.residual import MAPS, Shape, name_of
from skipln.ops.residual_norm import cuda
from skipln.ops.residual_norm.cuda_maps import launch
from skipln.ops.residual_norm.reference import Site, dropped_of

SHAPES = ((16_384, 512), (8192, 1024), (65_536, 128))  # rows × channels
STEPS = (1, 2, 4, 8)
ELEMENTS = (16, 8, 4)  # elements of a row per lane
DROPOUT = 0.1
MAP_KERNELS = (
    "moments", "forward_steps", "forward_maps", "moments, backward", "backward_steps", "backward_maps",
)  # fmt: skip
DEVICE = torch.device("cuda")


def kernel_times() -> dict[str, Any]:
    """Microseconds of every kernel of rows in bf16 in a CUDA graph.

    forward_rows and backward_rows are timed for each number of elements per lane; backward_weights includes the sum
    over its programs.
    """
    return {
        name_of(shape, steps): {name: timed(work) for name, work in row_launches(*shape, steps, DEVICE).items()}
        for shape in SHAPES
        for steps in STEPS
    }


def map_kernel_times() -> dict[str, Any]:
    """Microseconds of every kernel of feature maps in bf16 in a CUDA graph; backward_steps includes the sum over the
    examples."""
    return {
        name_of(shape, steps): {name: timed(work) for name, work in map_launches(shape, steps, DEVICE).items()}
        for shape in MAPS
        for steps in STEPS[1:]
    }


def timed(work: Callable[[], object]) -> float:
    from triton.testing import do_bench_cudagraph

    work()
    return round(1000 * do_bench_cudagraph(work, rep=8, return_mode="median"), 1)


def launched(channels: int, steps: int) -> tuple[str, str]:
    """The names, in `kernel_times`, of the forward and backward kernels that a run launches."""
    block = 1 << (channels - 1).bit_length()
    lanes = 32 * cuda.forward_warps(channels), 32 * cuda.backward_warps(channels, steps)
    return f"forward_rows, {block // lanes[0]} a lane", f"backward_rows, {block // lanes[1]} a lane"


def map_launches(shape: Shape, steps: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """The kernels of feature maps, channels last, with several steps, by their names in `counts.site`."""
    x, f, g = (torch.randn(shape, device=device).bfloat16().to(memory_format=torch.channels_last) for _ in range(3))
    gains, biases = torch.ones(steps, shape[1], device=device), torch.zeros(steps, shape[1], device=device)
    site, maps = Site(steps, 1.0, 1e-5, 0.0, None, "nchw"), launch.of(x)
    sums, more = launch.moments(maps, x, f, None), launch.moments(maps, x, f, g)
    factors, statistics = launch.forward_steps(maps, sums, gains, biases, site)
    of_gradients, _ = launch.backward_steps(maps, more, statistics, gains, biases, site)
    launches: tuple[Callable[[], object], ...] = (
        lambda: launch.moments(maps, x, f, None),
        lambda: launch.forward_steps(maps, sums, gains, biases, site),
        lambda: launch.forward_maps(maps, x, f, factors, site),
        lambda: launch.moments(maps, x, f, g),
        lambda: launch.backward_steps(maps, more, statistics, gains, biases, site)[1].sum(0),
        lambda: launch.backward_maps(maps, g, x, f, of_gradients, (x.dtype, f.dtype), True),
    )
    return dict(zip(MAP_KERNELS, launches, strict=True))


def row_launches(rows: int, channels: int, steps: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """The kernels of rows with dropout, by their names in `kernel_times`."""
    kernels, threshold = cuda.kernels(), dropped_of(DROPOUT)
    x, f, gy, y, kept, gx, gf = (torch.randn(rows, channels, device=device).bfloat16() for _ in range(7))
    gains, biases = torch.ones(steps, channels, device=device), torch.zeros(steps, channels, device=device)
    statistics, means = (torch.zeros(rows, steps, 2, device=device) for _ in range(2))
    drawn = (torch.tensor(1234567, device=device), threshold, 2**32 / (2**32 - threshold))
    block = 1 << (channels - 1).bit_length()
    a, b = (kept, kept) if steps == 1 else (x, f)
    programs = min(rows, max(1, cuda.SUMS // channels))
    weights = torch.empty(programs, steps, 2, channels, device=device)

    def forward(warps: int) -> None:
        kernels.forward_rows[(rows,)](
            x, f, y, kept, statistics, gains, biases, *drawn, 1.0, 1e-5, channels, block, steps, steps, True,
            num_warps=warps,
        )  # fmt: skip

    def backward(warps: int) -> None:
        kernels.backward_rows[(rows,)](
            gy, a, b, statistics, gains, biases, gx, gf, means, *drawn, 1.0, channels, block, steps, steps, True, True,
            num_warps=warps,
        )  # fmt: skip

    def sums() -> torch.Tensor:
        kernels.backward_weights[(programs, -(-channels // cuda.BLOCK))](
            gy, a, b, statistics, means, gains, biases, weights, rows, *drawn, 1.0, channels, cuda.BLOCK, steps, steps,
            True, num_warps=cuda.sum_warps(steps),
        )  # fmt: skip
        return weights.sum(0)

    by_elements = {elements: max(1, block // 32 // elements) for elements in ELEMENTS}
    return {
        **{f"forward_rows, {e} a lane": (lambda w=w: forward(w)) for e, w in by_elements.items()},  # type: ignore[misc]
        **{f"backward_rows, {e} a lane": (lambda w=w: backward(w)) for e, w in by_elements.items()},  # type: ignore[misc]
        "backward_weights": sums,
    }
