"""Attention by plain products is torch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.ops import attention

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float64: 1e-12}


def inputs(queries: int, keys: int, kind: torch.dtype) -> list[Tensor]:
    """As a model has them: heads split off a projection, so not contiguous."""
    torch.manual_seed(0)
    lengths = (queries, keys, keys)
    return [torch.randn(3, time, 2, 8).to(kind).transpose(1, 2).requires_grad_() for time in lengths]


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize(("queries", "keys", "causal", "padded"), [
    (5, 5, False, False), (5, 5, True, False), (5, 9, False, True), (1, 7, False, True), (1, 7, False, False),
    (70, 70, False, True),
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
    attention(*inputs(5, 64, torch.float32))
    for queries, keys in ((5, 65), (1, 7)):
        with pytest.raises(TypeError):
            attention(*inputs(queries, keys, torch.float32))


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
