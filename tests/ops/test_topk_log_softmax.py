"""The kernel gives torch's log-probabilities, wherever the best words are."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skipln.ops import topk_log_softmax
from skipln.ops.compiled import compiled
from skipln.ops.topk_log_softmax import SOURCE, plain_topk_log_softmax


@pytest.fixture
def kernel_alone(monkeypatch):
    """Remove the plain form, so that no test compares it with itself."""
    if compiled(SOURCE) is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setattr(sys.modules[plain_topk_log_softmax.__module__], "plain_topk_log_softmax", None)


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(1, 700), st.integers(1, 12), st.integers(0, 2**31), st.sampled_from([0.1, 3, 40]))
@torch.no_grad()
def test_top_k_equals_torchs(rows, columns, k, seed, scale):
    x = scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    k, token = min(k, columns), seed % columns
    for found, expected in zip(topk_log_softmax(x, k, token), plain_topk_log_softmax(x, k, token), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("threads", [1, 2])
def test_bfloat16_with_any_number_of_threads(kernel_alone, threads):
    x = (4 * torch.randn(30, 403)).bfloat16()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        values, words, of_token = topk_log_softmax(x, 7, 5)
    finally:
        torch.set_num_threads(before)
    expected = x.float().log_softmax(-1)
    torch.testing.assert_close(values, expected.topk(7).values, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(values, expected.gather(1, words), rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(of_token, expected[:, 5], rtol=1e-6, atol=1e-5)
    assert all(len(set(row)) == 7 for row in words.tolist())  # bfloat16 has many ties


@torch.no_grad()
@pytest.mark.parametrize("shift", [1e5, -1e5])
def test_far_from_zero_no_digit_is_lost(kernel_alone, shift):
    x = 3 * torch.randn(4, 200) + shift
    values, words, of_token = topk_log_softmax(x, 5, 7)
    exact = x.double().log_softmax(-1)
    torch.testing.assert_close(values.double(), exact.gather(1, words), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(of_token.double(), exact[:, 7], rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_words_of_probability_0(kernel_alone):
    x = torch.full((3, 500), -torch.inf)
    x[0, 17:20] = torch.arange(3.0)
    x[1, 499] = -1000.0
    values, words, of_token = topk_log_softmax(x, 4, 0)
    torch.testing.assert_close(values[0], x[0].log_softmax(0).topk(4).values)
    assert words[0, :3].tolist() == [19, 18, 17]
    assert (values[1].tolist(), words[1, 0].item()) == ([0.0, *[-torch.inf] * 3], 499)
    assert values[2].isnan().all()  # like torch's log_softmax if all logits are −∞
    assert ((words >= 0) & (words < 500)).all()
    assert of_token[:2].tolist() == [-torch.inf] * 2


@torch.no_grad()
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_nan_and_infinity_stay_visible(kernel_alone, bad):
    x = torch.randn(2, 50)
    x[1, 33] = bad
    values, words, of_token = topk_log_softmax(x, 3, 0)
    assert values[0].isfinite().all()
    assert values[1].isnan().any()
    assert of_token.isfinite().tolist() == [True, False]
    assert ((words >= 0) & (words < 50)).all()


def test_with_gradients_the_plain_form_is_used():
    x = torch.randn(4, 30, requires_grad=True, dtype=torch.float64)
    values = topk_log_softmax(x, 2, 3)[0]
    (gradient,) = torch.autograd.grad(values.sum(), x)
    assert gradient.sum(1).abs().max() < 1e-6
