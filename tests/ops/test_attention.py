"""Attention by plain products is torch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.ops import attention
from skipln.ops.attention import SHORT

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float64: 1e-12}


def inputs(queries: int, keys: int, kind: torch.dtype) -> list[Tensor]:
    """As a model has them: heads split off a projection, so not contiguous."""
    torch.manual_seed(0)
    lengths = (queries, keys, keys)
    return [torch.randn(3, time, 2, 8).to(kind).transpose(1, 2).requires_grad_() for time in lengths]


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize(("queries", "keys", "causal", "padded"), [
    (5, 5, False, False), (5, 5, True, False), (5, 9, False, True), (1, 7, False, True), (1, 7, False, False),
    (70, 70, False, True), (130, 130, False, True),
])  # fmt: skip
def test_it_is_torchs(queries: int, keys: int, causal: bool, padded: bool, kind: torch.dtype) -> None:
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


def test_short_ones_do_not_reach_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that compares torch with itself would always pass."""
    monkeypatch.setattr(F, "scaled_dot_product_attention", None)
    for kind, longest in SHORT.items():
        attention(*inputs(5, longest, kind))
        for queries, keys in ((5, longest + 1), (1, 7)):
            with pytest.raises(TypeError):
                attention(*inputs(queries, keys, kind))


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("keys", [14, 32, 64])
def test_bfloat16_scores_are_not_rounded_before_the_softmax(keys: int, autocast: bool) -> None:
    """Against float64 they are about as far off as torch's own; the weights' rounding is what remains.

    With scores in bfloat16 the mean square is more than seven times torch's.
    """
    torch.manual_seed(0)
    given = [(2 * torch.randn(4, 8, keys, 64)).bfloat16() for _ in range(3)]
    exact = F.scaled_dot_product_attention(*(t.double() for t in given))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        ours, torchs = (function(*given).double() - exact for function in (attention, F.scaled_dot_product_attention))
    assert ours.square().mean() <= 2 * torchs.square().mean()


def test_dropout_takes_weights_and_keeps_the_mean() -> None:
    queries, keys, _ = inputs(20, 40, torch.float32)
    ones = torch.ones(3, 2, 40, 8)
    torch.manual_seed(1)
    dropped = attention(queries, keys, ones, dropout=0.5)
    assert dropped.std() > 0.05
    assert dropped.mean().item() == pytest.approx(1, abs=0.1)


def test_gradients_of_gradients() -> None:
    leaves = inputs(3, 4, torch.float64)
    assert torch.autograd.gradgradcheck(lambda q, k, v: attention(q, k, v, causal=False), leaves)
