"""Compare the fused residual site with torch's layer norms, and with the bytes that it must move."""

from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.bench.gpu.timing import milliseconds
from skipln.ops.residual_norm import scaled_residual_norm

SHAPES = ((16_384, 512), (8192, 1024), (65_536, 128), (1000, 1023))  # rows × channels
STEPS = (1, 2, 4)
MOVED = 8  # activations at least: x, F and y; then the gradient of y, x and F again, and the gradients of both


def residual_site(device: torch.device, n: int, shapes: Sequence[tuple[int, int]] = SHAPES) -> dict[str, Any]:
    """error: the largest error of y and the gradients of x, F, gains and biases, float32, against torch's layer norms.

    milliseconds: forward and backward in bf16, ours and torch's. gb_per_second: ours, counting the bytes that must be
    moved.
    """
    found: dict[str, Any] = {}
    for rows, channels in shapes:
        for steps in STEPS:
            case = _case(rows, channels, steps, device)
            ours, torchs = (case[0], scaled_residual_norm), (case[0], plain)
            error = max(
                float((a - b).detach().abs().max()) / max(1.0, float(b.detach().abs().max()))
                for a, b in zip(_all(*ours, case[1]), _all(*torchs, case[1]), strict=True)
            )
            halves = tuple(tensor.detach().bfloat16().requires_grad_() for tensor in case[0][:2]) + case[0][2:]
            upstream = case[1].bfloat16()
            times = {}
            for name, op in (("ours", scaled_residual_norm), ("torch", plain)):
                times[name] = median(milliseconds(partial(_all, halves, op, upstream), device, n))
            found[f"{rows}×{channels} λ={steps}"] = {
                "error": error,
                "milliseconds": times["ours"],
                "torch_milliseconds": times["torch"],
                "gb_per_second": round(MOVED * 2 * rows * channels / times["ours"] / 1e6, 1),
            }
    return found


def plain(x: Tensor, y: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor], *, steps: int) -> Tensor:
    """The recursion, by torch's own operations."""
    for k in range(steps):
        y = F.layer_norm(x + y, (x.size(-1),), gains[k].to(x.dtype), biases[k].to(x.dtype))
    return y


def _case(rows: int, channels: int, steps: int, device: torch.device) -> tuple[tuple[Any, ...], Tensor]:
    x, f, upstream = (torch.randn(rows, channels, device=device) for _ in range(3))
    gains = [(1 + 0.2 * torch.randn(channels, device=device)).requires_grad_() for _ in range(steps)]
    biases = [torch.randn(channels, device=device).requires_grad_() for _ in range(steps)]
    return (x.requires_grad_(), f.requires_grad_(), gains, biases), upstream


def _all(inputs: tuple[Any, ...], op: Any, upstream: Tensor) -> list[Tensor]:
    """y and every gradient."""
    x, f, gains, biases = inputs
    y = op(x, f, gains, biases, steps=len(gains))
    return [y, *torch.autograd.grad(y, (x, f, *gains, *biases), upstream)]
