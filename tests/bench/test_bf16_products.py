"""bfloat16 products computed in float32 equal those of bfloat16 arithmetic, forward, backward and within a run."""

import pytest
import torch
from torch.testing import assert_close

from scripts.bench.studies import bf16_products
from scripts.bench.studies.bf16_products import Bf16Products

A, B = torch.randn(5, 24, dtype=torch.bfloat16), torch.randn(24, 7, dtype=torch.bfloat16)


@pytest.mark.parametrize(
    "product",
    [
        lambda: A @ B,
        lambda: (A[None] @ B[None])[0],
        lambda: torch.addmm(A[:, :7], A, B),
        lambda: torch.baddbmm(A[None, :, :7], A[None], B[None])[0],
        lambda: torch.nn.functional.linear(A, B.T),
        lambda: torch.einsum("bik,bkj->bij", A[None], B[None])[0],
    ],
)
def test_a_sum_of_exact_products_is_rounded_once(product):
    exact = product()  # torch's own product is summed in float32 too
    with Bf16Products():
        got = product()
    assert got.dtype == torch.bfloat16
    assert_close(got, exact, rtol=2**-7, atol=2**-7)  # one last digit, since float32 sums depend on their order


def test_gradients_under_autocast():
    linear, x = torch.nn.Linear(24, 7), torch.randn(5, 24)

    def gradient() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            loss = linear(x).float().square().sum()
        return torch.autograd.grad(loss, linear.weight)[0]

    expected = gradient()
    with Bf16Products():
        assert_close(gradient(), expected, rtol=2**-7, atol=2**-6 * expected.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_types_stay_as_they_are(dtype):
    a, b = A.to(dtype), B.to(dtype)
    with Bf16Products():
        got = a @ b
    assert torch.equal(got, a @ b)


def test_float32_computes_the_products():
    """This is the purpose of the mode: torch's own bfloat16 product is never called."""
    seen = []

    class Recorder(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append((func, args[0].dtype))
            return func(*args, **(kwargs or {}))

    with Recorder(), Bf16Products():  # the inner mode is called first
        A @ B
    assert (torch.ops.aten.mm.default, torch.float32) in seen
    assert (torch.ops.aten.mm.default, torch.bfloat16) not in seen


def test_a_run_finishes_under_the_mode(tiny, tmp_path):
    overrides = [*tiny, "precision=bf16", "training.updates=5", "training.average=1", f"paths.runs={tmp_path}"]
    assert bf16_products.main(overrides) == 0
    assert len(list(tmp_path.glob("*/result.json"))) == 1
