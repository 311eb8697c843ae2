"""Sixteen lanes give the same bits as eight, for every kernel, both types, and widths with and without a remainder.

Without an instruction for a fused multiply-add, the bits are those that the instruction gives.
"""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from skipln.ops import (
    Packed,
    attention,
    batch_norm,
    beam_attention,
    compiled,
    output_cross_entropy,
    scaled_residual_norm,
    topk_log_softmax,
)
from skipln.ops.processor import flags
from skipln.ops.residual_norm import cpu

WIDTHS = (3, 8, 44, 96, 203)
KINDS = (torch.float32, torch.bfloat16)


def rows() -> Iterator[Tensor]:
    for kind in KINDS:
        for width in WIDTHS:
            yield from site(torch.randn(3, 9, width).to(kind), "btc", width)


def maps() -> Iterator[Tensor]:
    for form in (torch.contiguous_format, torch.channels_last):
        for channels in (3, 8, 21, 37):
            yield from site(torch.randn(2, channels, 7, 9).contiguous(memory_format=form), "nchw", channels)


def site(x: Tensor, layout: str, channels: int) -> Iterator[Tensor]:
    """Yield the residual site of x and its gradients, with one step and more, with and without dropout."""
    for steps, p in ((1, 0.0), (3, 0.0), (3, 0.2)):
        leaves = [t.requires_grad_() for t in (x.clone(), x.flip(0).clone())]
        gains, biases = ([torch.randn(channels).requires_grad_() for _ in range(steps)] for _ in range(2))
        y = scaled_residual_norm(*leaves, gains, biases, steps=steps, dropout=p, layout=layout)
        yield y
        yield from torch.autograd.grad(y, [*leaves, *gains, *biases], x.roll(1, 0))


@torch.no_grad()
def best_words() -> Iterator[Tensor]:
    for kind in KINDS:
        for width in WIDTHS:
            yield from topk_log_softmax((5 * torch.randn(3, width)).to(kind), 2, 1)


@torch.no_grad()
def products() -> Iterator[Tensor]:
    for width in WIDTHS:
        for rows in (1, 3, 14):
            yield Packed(torch.randn(width, 20), torch.randn(width))(torch.randn(rows, 20))


@torch.no_grad()
def beams() -> Iterator[Tensor]:
    for kind in KINDS:
        for depth in (*WIDTHS, 32, 64):  # the kernel knows these two when it is compiled
            cache, entries = torch.randn(20, 4 * depth).to(kind), torch.randint(20, (5, 40))
            yield beam_attention(torch.randn(5, 2 * depth).to(kind), cache, entries, torch.randint(1, 41, (5,)), 2)


def attentions() -> Iterator[Tensor]:
    for kind in KINDS:
        for time, depth in zip((5, 8, 14, 64, 33), WIDTHS, strict=True):
            leaves = [torch.randn(2, 3, t, depth).to(kind).requires_grad_() for t in (time, time + 1, time + 1)]
            out = attention(*leaves, torch.rand(2, 1, 1, time + 1) < 0.9)
            yield from (out, *torch.autograd.grad(out, leaves, out.roll(1, 0)))


def losses() -> Iterator[Tensor]:
    for kind in KINDS:
        for width in WIDTHS:
            leaves = [torch.randn(size, 4).to(kind).requires_grad_() for size in (6, width)]
            total, nll = output_cross_entropy(*leaves, torch.randint(width, (6,)), 0.1)
            yield from (total, nll, *torch.autograd.grad(total, leaves))


def batch_norms() -> Iterator[Tensor]:
    for kind in KINDS:
        for width in WIDTHS:
            leaves = [t.requires_grad_() for t in (torch.randn(300, width).to(kind), *torch.randn(2, width))]
            running = torch.zeros(width), torch.ones(width)
            y = batch_norm(leaves[0], *running, *leaves[1:], training=True, momentum=0.1, eps=1e-5, relu=width > 8)
            yield from (y, *running, *torch.autograd.grad(y, leaves, y.roll(1, 0)))


@pytest.mark.parametrize("work", [rows, maps, best_words, products, beams, attentions, losses, batch_norms])
def test_the_bits_do_not_depend_on_the_lanes(
    work: Callable[[], Iterator[Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if cpu.library() is None:
        pytest.skip("no C++ compiler here")
    command, found = compiled.COMPILE, []
    ways = [(f"-DLANES={lanes}", *command) for lanes in (8, 16)]
    if work in (attentions, products) and "fma" in flags():  # those that ask for it
        ways.append((*ways[0][:-1], "-mno-fma", "-mno-avx512f", ways[0][-1]))
    try:
        for way in ways:
            monkeypatch.setattr(compiled, "COMPILE", way)
            compiled.compiled.cache_clear()
            torch.manual_seed(1)
            found.append([tensor.detach() for tensor in work()])
    finally:
        compiled.compiled.cache_clear()
    assert len(found[0]) > 9
    assert all(torch.equal(first, other) for first, *others in zip(*found, strict=True) for other in others)
    assert not any(t.isnan().any() for t in found[0])
