"""The Triton kernels of feature maps against the reference: on a GPU, otherwise through Triton's interpreter."""

import os
import subprocess
import sys

import pytest
import torch

from skipln.ops.residual_norm import cuda, reference
from skipln.ops.residual_norm.reference import Site

pytest.importorskip("triton", reason="no Triton here")
CASES = [(1, 2.0, 0.0, 1), (1, 1.0, 0.3, 1), (2, 1.0, 0.0, 2), (8, 1.0, 0.0, 8), (4, 0.5, 0.3, 1)]
# Tiles that do not fit the map, several of them to a program, and several programs to a map.
SHAPES = [(2, 5, 7, 3), (3, 70, 1, 1), (2, 16, 20, 30)]
KINDS = [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16), (torch.float32, torch.bfloat16)]


def check(device: str, shapes: int = len(SHAPES)) -> None:
    """Compare each case with some of the SHAPES."""
    for number, (steps, scale, dropout, count) in enumerate(CASES):
        for index, shape in enumerate((SHAPES * 2)[number % 3 :][:shapes]):
            for memory in (torch.contiguous_format, torch.channels_last):
                kinds = KINDS[(number + index) % len(KINDS)]
                compare(shape, memory, kinds, Site(steps, scale, 1e-5, dropout, None, "nchw"), count, device)


def check_few() -> None:
    """Compare one case of each kind."""
    compare((2, 5, 7, 3), torch.channels_last, KINDS[0], Site(3, 1.0, 1e-5, 0.0, None, "nchw"), 3, "cpu")
    compare((1, 16, 20, 30), torch.channels_last, KINDS[2], Site(2, 1.0, 1e-5, 0.3, None, "nchw"), 2, "cpu")
    compare((2, 5, 7, 3), torch.contiguous_format, KINDS[0], Site(1, 2.0, 1e-5, 0.0, None, "nchw"), 1, "cpu")
    check_far_from_zero("cpu")


def check_far_from_zero(device: str) -> None:
    """A mean far from 0 loses few digits."""
    torch.manual_seed(0)
    x, f = (torch.randn(2, 8, 16, 16, device=device).to(memory_format=torch.channels_last) for _ in range(2))
    gains, biases = ([s + 0.2 * torch.randn(8, device=device) for _ in range(2)] for s in (1, 0))
    site = Site(2, 1.0, 1e-5, 0.0, None, "nchw")
    y, *_ = cuda.forward(x + 300, f, gains, biases, site)
    wide = [(x + 300).double(), f.double(), [g.double() for g in gains], [b.double() for b in biases]]
    torch.testing.assert_close(y.double(), reference.forward(*wide, site)[0], atol=3e-4, rtol=0)


def compare(shape, memory, kinds, site, count, device) -> None:
    """Compare forward and backward, within the last digits of the types, relative to the largest value."""
    torch.manual_seed(0)
    if site.dropout:
        site = site._replace(seed=torch.tensor(-98765432101234, device=device))
    x, f, gy = (2 * torch.randn(shape, device=device) + shift for shift in (3, -1, 0.5))
    x, f = (t.to(kind, memory_format=memory) for t, kind in zip((x, f), kinds, strict=True))
    gains, biases = ([s + 0.2 * torch.randn(shape[1], device=device) for _ in range(count)] for s in (1, 0))
    theirs = reference.forward(x, f, gains, biases, site)
    ours = cuda.forward(x, f, gains, biases, site)
    inputs = (None, None) if site.steps == 1 else (x, f)
    _, kept, statistics = theirs
    gy = gy.to(theirs[0].dtype)
    expected = reference.backward(gy, *inputs, kept, gains, biases, site)
    found = cuda.backward(gy, *inputs, kept, statistics, gains, biases, kinds, site, True)
    for a, b in zip((*ours, *found), (*theirs, *expected), strict=True):
        digits = 2e-2 if torch.bfloat16 in kinds else 1e-5
        assert a.shape == b.shape
        largest = b.float().abs().max().item() if b.numel() else 0
        torch.testing.assert_close(a.float(), b.float(), rtol=0, atol=digits * max(largest, 1e-3))
    for a in (ours[0], *found[:2]):
        assert a.is_contiguous(memory_format=memory)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_kernels_on_the_gpu_equal_the_reference():
    check("cuda", shapes=1)  # a kernel's compilation takes longer than what it computes
    check_far_from_zero("cuda")


@pytest.mark.parametrize("call", ["check_few()", pytest.param("check('cpu')", marks=pytest.mark.slow)])
def test_interpreted_kernels_equal_the_reference(call):
    """They need their own process, since Triton decides at import whether it interprets."""
    code = f"from {__name__} import check, check_few; {call}"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TRITON_INTERPRET": "1"}, check=True)
