"""oneDNN's products equal torch's, with their first and second derivatives, and are used only where they are faster."""

import pytest
import torch
import torch.nn.functional as F

from skipln.ops.linear import Linear, across, linear
from tests.graph import functions

module = __import__("sys").modules[linear.__module__]


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use oneDNN for any processor and size."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("torch has no oneDNN here")
    monkeypatch.setattr(module, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(module, "SMALLEST", 0)


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 4), (1, 4), (4,), (0, 4)])
def test_value_and_gradients_equal_torchs(shape: tuple[int, ...], bias: bool) -> None:
    leaves = [torch.randn(size, requires_grad=True) for size in (shape, (5, 4), (5,))][: 2 + bias]
    found = []
    for function in (linear, F.linear):
        y = function(*leaves)
        found.append((y, *torch.autograd.grad(y.square().sum(), leaves)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
    with torch.no_grad():
        torch.testing.assert_close(linear(*leaves), found[1][0])


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("out", [3, 5])
def test_second_derivatives_equal_torchs(out: int) -> None:
    leaves = [torch.randn(size, requires_grad=True) for size in ((6, 4), (out, 4), (out,))]
    seconds = []
    for function in (linear, F.linear):
        first = torch.autograd.grad(function(*leaves).pow(3).sum(), leaves, create_graph=True)
        seconds.append(torch.autograd.grad(sum(g.square().sum() for g in first), leaves))
    for ours, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("sizes", [(5, 3), (3, 5)])
def test_only_the_smaller_factor_is_copied(sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (torch.randn(7, size) for size in sizes)
    torch.testing.assert_close(across(a, b), a.t() @ b)
    firsts: list[int] = []
    monkeypatch.setattr(module, "linear", lambda x, weight: firsts.append(len(x)) or F.linear(x, weight))
    torch.testing.assert_close(across(a, b), a.t() @ b)
    assert firsts == [3]
    monkeypatch.setattr(module, "onednn_is_faster", lambda: False)
    across(a, b)
    assert firsts == [3, sizes[0]]  # MKL copies nothing


@pytest.mark.usefixtures("onednn")
def test_other_types_and_autocast_use_torchs_product() -> None:
    layer = Linear(4, 5)
    assert "_ProductBackward" in functions(layer(torch.randn(3, 4)))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = layer(torch.randn(3, 4))
    exact = layer.double()(torch.randn(3, 4, dtype=torch.float64))
    assert (rounded.dtype, exact.dtype) == (torch.bfloat16, torch.float64)
    assert "_ProductBackward" not in functions(rounded) | functions(exact)


def test_onednn_is_used_only_where_mkl_does_not_use_the_whole_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    module.onednn_is_faster.cache_clear()
    try:
        for flags, vendor, faster in ((("avx512f",), "GenuineIntel", False), (("avx2",), "AuthenticAMD", False),
                                      (("avx512f",), "AuthenticAMD", True), ((), "", False)):  # fmt: skip
            monkeypatch.setattr(module, "flags", lambda flags=flags: frozenset(flags))
            monkeypatch.setattr(module, "vendor", lambda vendor=vendor: vendor)
            assert module.onednn_is_faster() is (faster and hasattr(torch.ops.mkldnn, "_linear_pointwise"))
            module.onednn_is_faster.cache_clear()
    finally:
        module.onednn_is_faster.cache_clear()
