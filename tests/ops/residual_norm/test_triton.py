"""The Triton kernels against the reference: on a GPU if there is one, otherwise through Triton's interpreter."""

import os
import subprocess
import sys

import pytest
import torch

from skipln.ops.residual_norm import cuda, reference
from skipln.ops.residual_norm.reference import Site

pytest.importorskip("triton", reason="no Triton here")
CASES = [(1, 1.0, 0.0, 1), (1, 2.0, 0.3, 1), (3, 1.0, 0.3, 3), (4, 0.5, 0.0, 1)]


def check(device: str) -> None:
    torch.manual_seed(0)
    for steps, scale, dropout, count in CASES:
        for kinds in ((torch.float32, torch.float32), (torch.float32, torch.bfloat16)):
            x, f, gy = (torch.randn(5, 37, device=device).to(kind) for kind in (*kinds, torch.float32))
            gains, biases = ([s + 0.2 * torch.randn(37, device=device) for _ in range(count)] for s in (1, 0))
            seed = torch.tensor(-98765432101234, device=device) if dropout else None
            site = Site(steps, scale, 1e-5, dropout, seed, "btc")
            ours, theirs = (m.forward(x, f, gains, biases, site) for m in (cuda, reference))
            for a, b in zip(ours, theirs, strict=True):
                torch.testing.assert_close(a, b, atol=5e-6, rtol=1e-5)
            inputs = (None, None) if steps == 1 else (x, f)
            _, kept, statistics = theirs
            ours = cuda.backward(gy, *inputs, kept, statistics, gains, biases, kinds, site, True)
            for a, b in zip(ours, reference.backward(gy, *inputs, kept, gains, biases, site), strict=True):
                digits = 1e-2 if a.dtype == torch.bfloat16 else 1e-5
                torch.testing.assert_close(a, b.to(a.dtype), atol=1e-5, rtol=digits)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_kernels_on_the_gpu_equal_the_reference():
    check("cuda")


@pytest.mark.slow
def test_interpreted_kernels_equal_the_reference():
    """They need their own process, since Triton decides at import whether it interprets."""
    code = f"from {__name__} import check; check('cpu')"
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
