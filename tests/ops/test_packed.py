"""Packed weights give torch's products, whatever the sizes, and a row's outputs do not depend on other rows."""

import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from skipln.ops import Packed
from skipln.ops.compiled import compiled
from skipln.ops.packed import SOURCE


def made(rows: int, inputs: int, out: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=generator) for shape in ((rows, inputs), (out, inputs), (out,)))


def exact(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, precision: torch.dtype) -> torch.Tensor:
    return x.to(precision).double() @ weight.to(precision).double().T + bias.double()


def kernel_alone(monkeypatch) -> None:
    """Forbid torch's product, with which the test would compare itself; skip if there is no compiler."""
    if compiled(SOURCE) is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setattr(sys.modules[Packed.__module__].F, "linear", None)


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(1, 70), st.integers(1, 140), st.sampled_from([torch.float32, torch.bfloat16]))
def test_equals_torch(rows, inputs, out, precision):
    x, weight, bias = made(rows, inputs, out)
    for b in (bias, None):
        expected = exact(x, weight, torch.zeros(out) if b is None else b, precision).float()
        torch.testing.assert_close(Packed(weight, b, precision)(x), expected, rtol=1e-5, atol=2e-5)


def test_rows_of_any_shape_and_strides(monkeypatch):
    x, weight, bias = made(30, 24, 40)
    expected = F.linear(x, weight, bias)
    kernel_alone(monkeypatch)
    packed = Packed(weight.T.contiguous().T, bias)
    torch.testing.assert_close(packed(x.T.contiguous().T), expected)
    torch.testing.assert_close(packed(x.view(5, 6, 24)), expected.view(5, 6, 40))


def test_a_row_does_not_depend_on_the_others(monkeypatch):
    kernel_alone(monkeypatch)
    x, weight, bias = made(23, 50, 150)
    packed = Packed(weight, bias)
    for rows in (slice(0, 1), slice(3, 16), slice(20, 23)):
        assert torch.equal(packed(x[rows]), packed(x)[rows])


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing(threads, monkeypatch):
    kernel_alone(monkeypatch)
    x, weight, bias = made(9, 16, 300)
    expected = exact(x, weight, bias, torch.float32).float()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.testing.assert_close(Packed(weight, bias)(x), expected)
    finally:
        torch.set_num_threads(before)


def test_later_changes_of_the_weights_do_not_matter():
    x, weight, bias = made(3, 8, 8)
    packed, expected = Packed(weight, bias), F.linear(x, weight, bias)
    weight.zero_()
    torch.testing.assert_close(packed(x), expected)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_without_a_compiler(precision, monkeypatch):
    x, weight, bias = made(5, 33, 70)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    compiled.cache_clear()
    try:
        packed = Packed(weight, bias, precision)
        assert packed.kernel is None
        torch.testing.assert_close(packed(x).double(), exact(x, weight, bias, precision), rtol=1e-5, atol=1e-5)
        assert Packed.where_it_helps(weight, bias, torch.float32) is None
        assert Packed.where_it_helps(weight, bias, torch.bfloat16) is not None
        assert Packed.where_it_helps(weight.double(), bias, torch.bfloat16) is None
    finally:
        compiled.cache_clear()
