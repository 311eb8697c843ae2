"""Time updates of Transformer-base and -big in bf16: plain, compiled, and under DDP with one rank."""

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scripts.bench.gpu.timing import milliseconds, product_rate
from skipln import skips
from skipln.models.transformer import Transformer, TransformerShape
from skipln.ops import smoothed_cross_entropy
from skipln.ops.attention import plain_attention

SHAPES = {
    "base": (TransformerShape(6, 6, 512, 2048, 8), 32_000, 128, 32),  # vocabulary, sentences, tokens per sentence
    "big": (TransformerShape(6, 6, 1024, 4096, 16), 32_000, 128, 32),
}
TINY = {"tiny": (TransformerShape(1, 1, 32, 64, 4), 100, 2, 8)}


def updates_by_kernels(device: torch.device, n: int, smoke: bool) -> dict[str, Any]:
    """`updates` with the kernels that no GPU has timed yet."""
    with patch("skipln.ops.cuda_cross_entropy.CHOICE", "always"):
        return updates(device, n, smoke)


def updates(device: torch.device, n: int, smoke: bool, compiled: bool = False) -> dict[str, Any]:
    """For each shape: FLOPs of the products of an update, their measured rate, and time, tokens/s and share of products
    (FLOPs / rate / time). first_seconds: the time of the first update, including compilation if `compiled`."""
    found: dict[str, Any] = {}
    for name, (shape, vocabulary, sentences, length) in (TINY if smoke else SHAPES).items():
        tokens = sentences * length
        model, step = _update(shape, vocabulary, device, sentences, length)
        # On a CPU, attention has a kernel of ours, whose products torch cannot count.
        plain = patch("skipln.attention.softmax.attention", plain_attention) if device.type == "cpu" else nullcontext()
        with plain, FlopCounterMode(display=False) as counter:
            step()
        flops = counter.get_total_flops()
        projections = [(shape.dim, shape.dim), (shape.dim, shape.feed_forward_dim), (shape.feed_forward_dim, shape.dim)]
        rate = product_rate(device, n, [(tokens, a, b) for a, b in [*projections, (shape.dim, vocabulary)]])
        if compiled:
            model.compile(dynamic=True)
        started = time.perf_counter()
        step()
        first = time.perf_counter() - started
        times = milliseconds(step, device, n)
        found[name] = {
            "sentences": sentences,
            "length": length,
            "vocabulary": vocabulary,
            "gflop": flops / 1e9,
            "tflop_per_second_of_products": rate,
            "first_seconds": round(first, 2),
            "milliseconds": times,
            "tokens_per_second": round(1000 * tokens / median(times)),
            "share": round(flops / (rate * 1e9) / median(times), 6),
        }
        del model, step
    return found


def distributed(device: torch.device, n: int, smoke: bool) -> dict[str, Any]:
    """An update of base under DistributedDataParallel with one rank (NCCL, or gloo on a CPU), and of the bare model."""
    shape, vocabulary, sentences, length = TINY["tiny"] if smoke else SHAPES["base"]
    backend = "nccl" if device.type == "cuda" else "gloo"
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        found: dict[str, Any] = {"backend": backend}
        for name, wrap in (("bare", _bare), ("ddp", nn.parallel.DistributedDataParallel)):
            _, step = _update(shape, vocabulary, device, sentences, length, wrap)
            found[name] = {"milliseconds": milliseconds(step, device, n), "loss": step()}
        return found
    finally:
        with suppress(RuntimeError):
            torch.distributed.destroy_process_group()


def _bare(model: nn.Module) -> nn.Module:
    return model


def _update(
    shape: TransformerShape, vocabulary: int, device: torch.device, sentences: int, length: int,
    wrap: Callable[[nn.Module], nn.Module] = _bare,
) -> tuple[nn.Module, Callable[[], float]]:  # fmt: skip
    """The post-LN net, and a function that updates it in bf16 on random sentences and returns the loss."""
    torch.manual_seed(1)
    model = Transformer(vocabulary, shape, lambda dim, place: skips.create("xskip_ln", dim, place=place, lam=1.0))
    model = model.to(device).train()
    forward = wrap(model)
    optimizer = torch.optim.Adam(model.parameters(), 7e-4, betas=(0.9, 0.98), fused=True)
    source, target_in, target_out = torch.randint(4, vocabulary, (3, sentences, length), device=device)

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16):
            logits = forward(source, target_in)
            total, _ = smoothed_cross_entropy(logits, target_out.flatten(), 0.1)
        (total / target_out.numel()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(total.detach()) / target_out.numel()

    return model, step
