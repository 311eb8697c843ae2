"""Attention by plain products and by the kernel equals torch's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.ops import attention
from skipln.ops.attention import SHORT, SOURCE, plain_attention
from skipln.ops.compiled import Kernel, cpu_kernel
from tests.graph import functions

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float64: 1e-12}


def inputs(queries: int, keys: int, kind: torch.dtype) -> list[Tensor]:
    """Make inputs as a model does: heads are split off a projection, so they are not contiguous."""
    torch.manual_seed(0)
    lengths = (queries, keys, keys)
    return [torch.randn(3, time, 2, 8).to(kind).transpose(1, 2).requires_grad_() for time in lengths]


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize(("queries", "keys", "causal", "padded"), [
    (5, 5, False, False), (5, 5, True, False), (5, 9, False, True), (1, 7, False, True), (1, 7, False, False),
    (70, 70, False, True), (130, 130, False, True),
])  # fmt: skip
def test_attention_equals_torchs(queries: int, keys: int, causal: bool, padded: bool, kind: torch.dtype) -> None:
    mask = torch.arange(keys) < torch.tensor([keys, 3, 1])[:, None] if padded else None
    mask = mask[:, None, None, :] if mask is not None else None
    found = []
    for function in (attention, F.scaled_dot_product_attention):
        leaves = inputs(queries, keys, kind)
        out = function(*leaves, mask, 0.0, causal)
        out.square().sum().backward()
        found.append([out, *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE[kind], atol=10 * TOLERANCE[kind])


def test_short_sequences_do_not_use_torchs_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would compare torch with itself."""
    monkeypatch.setattr(F, "scaled_dot_product_attention", None)
    for kind, longest in SHORT.items():
        attention(*inputs(5, longest, kind))
        for queries, keys in ((5, longest + 1), (1, 7)):
            with pytest.raises(TypeError):
                attention(*inputs(queries, keys, kind))


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("keys", [14, 32, 64])
def test_bfloat16_scores_are_not_rounded_before_the_softmax(keys: int, autocast: bool) -> None:
    """Their error against float64 is about that of torch, from rounding the weights.

    With scores in bfloat16 the mean square is more than seven times torch's.
    """
    torch.manual_seed(0)
    given = [(2 * torch.randn(4, 8, keys, 64)).bfloat16() for _ in range(3)]
    exact = F.scaled_dot_product_attention(*(t.double() for t in given))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        ours, torchs = (function(*given).double() - exact for function in (attention, F.scaled_dot_product_attention))
    assert ours.square().mean() <= 2 * torchs.square().mean()


@pytest.fixture
def kernel() -> Kernel:
    found = cpu_kernel(SOURCE, torch.bfloat16)
    if found is None:
        pytest.skip("no C++ compiler here")
    return found


@pytest.mark.usefixtures("kernel")
def test_the_kernel_is_used_only_without_dropout_for_short_sequences() -> None:
    for kind in (torch.float32, torch.bfloat16):
        given = inputs(5, 5, kind)
        assert "_AttentionBackward" in functions(attention(*given))
        others = [attention(*given, dropout=0.1), attention(*inputs(5, 200, kind))]
        assert all("_AttentionBackward" not in functions(other) for other in others)
    assert "_AttentionBackward" not in functions(attention(*inputs(5, 5, torch.float64)))


def with_gradients(function: Callable[..., Tensor], given: list[Tensor], *how: Any) -> list[Tensor]:
    leaves = [t.detach().requires_grad_() for t in given]
    out = function(*leaves, *how)
    return [out, *torch.autograd.grad(out, leaves, torch.cos(torch.arange(out.numel())).view_as(out).to(out.dtype))]


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize(("queries", "keys", "depth", "causal"), [
    (5, 3, 8, False), (17, 17, 44, False), (2, 65, 64, False), (64, 64, 64, False), (33, 128, 16, False),
    (17, 17, 44, True), (64, 64, 64, True),
])  # fmt: skip
def test_value_and_gradients_are_as_close_to_float64_as_torchs(
    queries: int, keys: int, depth: int, causal: bool, scale: float
) -> None:
    torch.manual_seed(0)
    given = [(scale * torch.randn(3, t, 4, depth)).bfloat16().transpose(1, 2) for t in (queries, keys, keys)]
    mask = None if causal else (torch.rand(3, 1, queries, keys) < 0.7).index_fill(3, torch.tensor([0]), True)
    exact = with_gradients(F.scaled_dot_product_attention, [t.double() for t in given], mask, 0.0, causal)
    torchs = with_gradients(F.scaled_dot_product_attention, given, mask, 0.0, causal)
    for ours, theirs, right in zip(with_gradients(attention, given, mask, 0.0, causal), torchs, exact, strict=True):
        assert ours.dtype == torch.bfloat16
        assert (ours - right).square().mean() <= 1.1 * (theirs - right).square().mean()


@pytest.mark.usefixtures("kernel")
def test_masked_keys_and_the_number_of_threads_change_nothing() -> None:
    given = [t.detach() for t in inputs(9, 20, torch.bfloat16)]
    mask = torch.arange(20) < torch.tensor([20, 3, 1])[:, None, None, None]
    found = with_gradients(attention, given, mask)
    changed = [given[0], *(torch.where(mask.transpose(2, 3), t, 1e4) for t in given[1:])]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = with_gradients(attention, changed, mask)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    for gradient in found[2:]:
        assert (gradient == 0).masked_select(~mask.transpose(2, 3)).all()


@pytest.mark.usefixtures("kernel")
def test_nan_appears_where_it_does_in_the_plain_form() -> None:
    """It stays in its own sentence and head; a query that may see no key gives NaN."""
    given = [t.detach().clone() for t in inputs(4, 6, torch.bfloat16)]
    given[0][1, 1, 2, 3] = torch.nan
    mask = torch.ones(3, 1, 4, 6, dtype=torch.bool)
    mask[0, 0, 1] = False
    nans = [function(*given, mask, 0.0, False).isnan() for function in (attention, plain_attention)]
    assert torch.equal(*nans)
    assert nans[0].any() and not nans[0].all()


@pytest.mark.usefixtures("kernel")
def test_the_kernel_has_second_derivatives() -> None:
    seconds = []
    for kind in (torch.bfloat16, torch.float64):
        leaves = [t.detach().to(kind).requires_grad_() for t in inputs(3, 4, torch.bfloat16)]
        first = torch.autograd.grad(attention(*leaves).square().sum(), leaves, create_graph=True)
        seconds.append(torch.autograd.grad(sum(g.square().sum() for g in first), leaves))
    for ours, right in zip(*seconds, strict=True):
        assert (ours - right).norm() < 0.03 * right.norm()


def test_dropout_drops_weights_and_keeps_the_mean() -> None:
    queries, keys, _ = inputs(20, 40, torch.float32)
    ones = torch.ones(3, 2, 40, 8)
    torch.manual_seed(1)
    dropped = attention(queries, keys, ones, dropout=0.5)
    assert dropped.std() > 0.05
    assert dropped.mean().item() == pytest.approx(1, abs=0.1)


def test_second_derivatives_are_right() -> None:
    leaves = inputs(3, 4, torch.float64)
    assert torch.autograd.gradgradcheck(lambda q, k, v: attention(q, k, v, causal=False), leaves)
