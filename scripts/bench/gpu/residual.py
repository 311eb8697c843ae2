"""Compare the fused residual site with torch's layer norms, and with the bytes that it must move."""

from collections.abc import Sequence
from functools import partial
from math import prod
from statistics import median
from typing import Any

import torch
from torch import Tensor

from scripts.bench.gpu.plain import plain_maps, plain_rows
from scripts.bench.gpu.timing import milliseconds
from skipln.ops.residual_norm import scaled_residual_norm

Shape = tuple[int, ...]  # rows, channels; or examples, channels, height, width of feature maps, channels last in memory
SHAPES: tuple[Shape, ...] = ((16_384, 512), (8192, 1024), (65_536, 128), (1000, 1023))
MAPS: tuple[Shape, ...] = ((128, 16, 32, 32), (64, 256, 56, 56), (64, 2048, 7, 7))  # of CIFAR and ImageNet
STEPS = (1, 2, 4)
MOVED = 8  # activations at least: x, F and y; then the gradient of y, x and F again, and the gradients of both


def name_of(shape: Shape, steps: int) -> str:
    return f"{'×'.join(map(str, shape))} λ={steps}"


def residual_site(device: torch.device, n: int, shapes: Sequence[Shape] = SHAPES) -> dict[str, Any]:
    """error: the largest error of y and the gradients of x, F, gains and biases, float32, against torch's layer norms.

    milliseconds: forward and backward in bf16, ours and torch's. gb_per_second: ours, counting the bytes that must be
    moved.
    """
    found: dict[str, Any] = {}
    for shape in shapes:
        maps = len(shape) == 4
        ours = partial(scaled_residual_norm, layout="nchw" if maps else "btc")
        torchs = plain_maps if maps else plain_rows
        for steps in STEPS:
            inputs, upstream = _case(shape, steps, device)
            error = max(
                float((a - b).detach().abs().max()) / max(1.0, float(b.detach().abs().max()))
                for a, b in zip(_all(inputs, ours, upstream), _all(inputs, torchs, upstream), strict=True)
            )
            halves = tuple(tensor.detach().bfloat16().requires_grad_() for tensor in inputs[:2]) + inputs[2:]
            times = {}
            for name, op in (("ours", ours), ("torch", torchs)):
                times[name] = median(milliseconds(partial(_all, halves, op, upstream.bfloat16()), device, n))
            found[name_of(shape, steps)] = {
                "error": error,
                "milliseconds": times["ours"],
                "torch_milliseconds": times["torch"],
                "gb_per_second": round(MOVED * 2 * prod(shape) / times["ours"] / 1e6, 1),
            }
    return found


def _case(shape: Shape, steps: int, device: torch.device) -> tuple[tuple[Any, ...], Tensor]:
    memory = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    x, f, upstream = (torch.randn(shape, device=device).to(memory_format=memory) for _ in range(3))
    gains = [(1 + 0.2 * torch.randn(shape[1], device=device)).requires_grad_() for _ in range(steps)]
    biases = [torch.randn(shape[1], device=device).requires_grad_() for _ in range(steps)]
    return (x.requires_grad_(), f.requires_grad_(), gains, biases), upstream


def _all(inputs: tuple[Any, ...], op: Any, upstream: Tensor) -> list[Tensor]:
    """y and every gradient."""
    x, f, gains, biases = inputs
    y = op(x, f, gains, biases, steps=len(gains))
    return [y, *torch.autograd.grad(y, (x, f, *gains, *biases), upstream)]
