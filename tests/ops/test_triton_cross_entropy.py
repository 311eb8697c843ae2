"""The Triton kernels of cross-entropy against torch: on a GPU, otherwise interpreted and compiled for one."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from skipln.ops import cross_entropy, cuda_cross_entropy, smoothed_cross_entropy

pytest.importorskip("triton", reason="no Triton here")
KERNELS = cross_entropy._ByKernels


def check(device: str) -> None:
    check_values(device)
    check_rounding(device)
    check_edges(device)


def check_values(device: str) -> None:
    torch.manual_seed(0)
    for rows, vocabulary, scale, shift in ((3, 5, 1.0, 0.0), (2, 5000, 3.0, 1e4), (1, 64, 300.0, 0.0)):
        logits = (scale * torch.randn(rows, vocabulary, device=device) + shift).requires_grad_()
        targets = torch.randint(vocabulary, (rows,), device=device)
        exact = logits.detach().double().requires_grad_()
        for smoothing in (0.0, 0.1):
            total, nll = KERNELS.apply(logits, targets, smoothing)
            assert not nll.requires_grad
            torch.testing.assert_close(nll.double(), F.cross_entropy(exact, targets, reduction="sum"))
            expected = F.cross_entropy(exact, targets, reduction="sum", label_smoothing=smoothing)
            torch.testing.assert_close(total.double(), expected)
            ours, theirs = torch.autograd.grad(3 * total, logits)[0], torch.autograd.grad(3 * expected, exact)[0]
            torch.testing.assert_close(ours.double(), theirs, rtol=2e-5, atol=1e-6)


def check_rounding(device: str) -> None:
    """Logits of half the width are summed in float32, and a loss scale multiplies the gradient before it is rounded."""
    for kind in (torch.bfloat16, torch.float16):
        logits = torch.randn(3, 700, device=device).to(kind).requires_grad_()
        targets = torch.randint(700, (3,), device=device)
        exact = logits.detach().double().requires_grad_()
        expected = F.cross_entropy(exact, targets, reduction="sum", label_smoothing=0.1)
        total, _ = KERNELS.apply(logits, targets, 0.1)
        torch.testing.assert_close(total.double(), expected)
        ours, theirs = torch.autograd.grad(1e-3 * total, logits)[0], torch.autograd.grad(1e-3 * expected, exact)[0]
        torch.testing.assert_close(ours, theirs.to(kind), rtol=8e-3, atol=6e-8)


def check_edges(device: str) -> None:
    """A word of probability 0 costs nothing without smoothing; a target that is no word gives NaN."""
    logits = torch.tensor([[0.0, -torch.inf, 1.0]], device=device, requires_grad=True)
    for target, smoothing in ((2, 0.0), (2, 0.1), (1, 0.0)):
        total, _ = KERNELS.apply(logits, torch.tensor([target], device=device), smoothing)
        torch.testing.assert_close(
            total, F.cross_entropy(logits, torch.tensor([target], device=device), label_smoothing=smoothing)
        )
    for target in (-1, 3):
        assert KERNELS.apply(logits, torch.tensor([target], device=device), 0.0)[0].isnan()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_kernels_on_the_gpu_equal_torch():
    check("cuda")


def test_interpreted_kernels_equal_torch():
    """They need their own process, since Triton decides at import whether it interprets."""
    code = f"from {__name__} import check; check('cpu')"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TRITON_INTERPRET": "1"}, check=True)


@pytest.mark.parametrize("vocabulary", [10, 32_000])  # classes of images, words of text
@pytest.mark.parametrize("architecture", [80, 90])
def test_kernels_compile_for_gpus_without_spills(architecture, vocabulary):
    from skipln.ops import triton_cross_entropy as kernels
    from tests.ops.ahead_of_time import resident, usage

    words, warps = cuda_cross_entropy.block(vocabulary)
    for kernel in (kernels.forward_rows, kernels.backward_rows):
        registers, stack = usage(kernel, architecture, warps, block=words)
        assert stack == 0 and resident(registers, warps) >= 24, f"{kernel} takes {registers} registers, {stack} bytes"


def test_the_kernels_run_where_they_are_asked_for(monkeypatch):
    """On the CPU never; on a GPU, which none has timed yet, only with SKIPLN_FUSED=always."""

    class OnGpu:
        device, dtype = torch.device("cuda"), torch.bfloat16

        def numel(self) -> int:
            return 6

    assert not cuda_cross_entropy.chosen(OnGpu())
    monkeypatch.setattr(cuda_cross_entropy, "CHOICE", "always")
    assert cuda_cross_entropy.chosen(OnGpu()) and not cuda_cross_entropy.chosen(torch.randn(2, 3))
    smoothed_cross_entropy(torch.randn(2, 3), torch.tensor([0, 1]), 0.1)
