"""Time each Triton kernel alone, without its launch, and count the bytes that it must move."""

from collections.abc import Callable
from typing import Any

import torch

from skipln.ops.residual_norm import cuda
from skipln.ops.residual_norm.reference import dropped_of

SHAPES = ((16_384, 512), (8192, 1024), (65_536, 128))  # rows × channels
STEPS = (1, 2, 4, 8)
ELEMENTS = (16, 8, 4)  # elements of a row per lane
DROPOUT = 0.1


def kernel_times() -> dict[str, Any]:
    """Microseconds of every kernel in bf16 in a CUDA graph, and `floor_bytes` of forward and backward.

    forward_rows and backward_rows are timed for each number of elements per lane; backward_weights includes the sum
    over its programs.
    """
    from triton.testing import do_bench_cudagraph

    def timed(launch: Callable[[], object]) -> float:
        launch()
        return round(1000 * do_bench_cudagraph(launch, rep=8, return_mode="median"), 1)

    found: dict[str, Any] = {}
    for rows, channels in SHAPES:
        for steps in STEPS:
            launches = _launches(rows, channels, steps)
            found[f"{rows}×{channels} λ={steps}"] = {
                "floor_bytes": {"forward": 6 * rows * channels, "backward": 10 * rows * channels},
                **{name: timed(launch) for name, launch in launches.items()},
            }
    return found


def launched(channels: int, steps: int) -> tuple[str, str]:
    """The names, in `kernel_times`, of the forward and backward kernels that a run launches."""
    block = 1 << (channels - 1).bit_length()
    lanes = 32 * cuda.forward_warps(channels), 32 * cuda.backward_warps(channels, steps)
    return f"forward_rows, {block // lanes[0]} a lane", f"backward_rows, {block // lanes[1]} a lane"


def _launches(rows: int, channels: int, steps: int) -> dict[str, Callable[[], object]]:
    kernels, threshold = cuda.kernels(), dropped_of(DROPOUT)
    x, f, gy, y, kept, gx, gf = (torch.randn(rows, channels, device="cuda").bfloat16() for _ in range(7))
    gains, biases = torch.ones(steps, channels, device="cuda"), torch.zeros(steps, channels, device="cuda")
    statistics, means = (torch.zeros(rows, steps, 2, device="cuda") for _ in range(2))
    drawn = (torch.tensor(1234567, device="cuda"), threshold, 2**32 / (2**32 - threshold))
    block = 1 << (channels - 1).bit_length()
    a, b = (kept, kept) if steps == 1 else (x, f)
    programs = min(rows, max(1, cuda.SUMS // channels))
    weights = torch.empty(programs, steps, 2, channels, device="cuda")

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
