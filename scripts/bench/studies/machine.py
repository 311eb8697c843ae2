"""Measure the machine itself: products with the shapes of a step in each precision, and memory copies."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch

from scripts.bench.records.products import products
from skipln.engine.environment import describe

MIB = 2**20


def machine(n: int = 5) -> dict[str, Any]:
    """The record `machine`: GFLOP/s of the products of `mt-step-small` and `mt-step-base`, GB/s of a copy.

    Each is the median of n times; a copy reads and writes 256 MiB.
    """
    from scripts.bench.parts.mt_step import (
        BASE,
        BASE_VOCABULARY,
        SMALL,
        SMALL_VOCABULARY,
        base_batches,
        our_step,
        small_batches,
    )

    steps = {
        "small": (SMALL_VOCABULARY, SMALL, small_batches),
        "base": (BASE_VOCABULARY, BASE, base_batches),
    }
    rates: dict[str, dict[str, float]] = {}
    for name, (vocabulary, shape, batches) in steps.items():
        for precision in ("fp32", "bf16"):
            found = products(partial(our_step(vocabulary, shape, precision), batches()[0]))
            rates.setdefault(precision, {})[name] = round(found.flops / median(_seconds(found.run, n)) / 1e9, 1)
    source = torch.ones(256 * MIB, dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = 2 * source.numel() / median(_seconds(lambda: target.copy_(source), n)) / 1e9
    return {
        "name": "machine", "n": n, "gflops": rates, "copy_gb": round(copy, 1), "allocator": "glibc",
        "environment": describe(torch.device("cpu")),
    }  # fmt: skip


def _seconds(work: Callable[[], object], n: int) -> list[float]:
    """n times of `work` in seconds, after one to warm up."""
    taken = []
    for _ in range(n + 1):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return taken[1:]
