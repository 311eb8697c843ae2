"""Measure times, and the bandwidth and product rate of the device itself, of which everything else is a share."""

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch

Product = tuple[int, int, int]  # rows, inputs, outputs


def wait(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def milliseconds(work: Callable[[], object], device: torch.device, n: int) -> list[float]:
    """n times of `work` in ms, each with a wait for the device, after two to warm up."""
    taken = []
    for k in range(n + 2):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        if k >= 2:
            taken.append(round(1000 * (time.perf_counter() - started), 4))
    return taken


def bandwidth(device: torch.device, n: int, size: int) -> float:
    """GB/s of copying `size` bytes; bytes read and bytes written both count."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return round(2 * size / median(milliseconds(lambda: target.copy_(source), device, n)) / 1e6, 1)


def product_rate(device: torch.device, n: int, products: Sequence[Product]) -> float:
    """TFLOP/s of bf16 products x W and the gradients of both factors, over all `products`, with random numbers."""
    total = seconds = 0.0
    for rows, inputs, outputs in products:
        x = torch.randn(rows, inputs, device=device, dtype=torch.bfloat16)
        weight = torch.randn(inputs, outputs, device=device, dtype=torch.bfloat16)
        upstream = torch.randn(rows, outputs, device=device, dtype=torch.bfloat16)

        def work(x: torch.Tensor = x, weight: torch.Tensor = weight, upstream: torch.Tensor = upstream) -> None:
            _ = x @ weight, upstream @ weight.T, x.T @ upstream

        seconds += median(milliseconds(work, device, n)) / 1000
        total += 6 * rows * inputs * outputs
    return round(total / seconds / 1e12, 6)
