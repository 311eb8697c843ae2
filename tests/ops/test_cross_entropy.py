"""Cross-entropy against torch's in float64, at once and in chunks of the output layer's product."""

import sys

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skipln.ops import output_cross_entropy, smoothed_cross_entropy
from skipln.ops.compiled import cpu_kernel
from skipln.ops.linear import linear
from skipln.ops.output_cross_entropy import SOURCE

LINEAR = sys.modules[linear.__module__]
OUTPUT = sys.modules[output_cross_entropy.__module__]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("positions", [1, 7])
@pytest.mark.parametrize("scale", [1.0, 300.0])  # so large that most probabilities are 0
def test_value_and_gradient_equal_torchs(smoothing, positions, scale):
    logits = (scale * torch.randn(positions, 11)).requires_grad_()
    targets = torch.randint(11, (positions,))
    total, nll = smoothed_cross_entropy(logits, targets, smoothing)
    expected = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(nll, F.cross_entropy(logits, targets, reduction="sum"))
    ours, theirs = (torch.autograd.grad(3 * loss, logits)[0] for loss in (total, expected))
    torch.testing.assert_close(ours, theirs)


def test_bfloat16_logits_are_summed_in_float32():
    logits = torch.randn(64, 500).bfloat16().requires_grad_()
    targets = torch.randint(500, (64,))
    total, _ = smoothed_cross_entropy(logits, targets, 0.1)
    torch.testing.assert_close(total, F.cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=0.1))
    (gradient,) = torch.autograd.grad(total, logits)
    assert gradient.dtype == torch.bfloat16


def test_no_gradient_flows_through_the_nll():
    _, nll = smoothed_cross_entropy(torch.randn(3, 5, requires_grad=True), torch.tensor([0, 1, 2]), 0.1)
    assert not nll.requires_grad


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1.0, 2.0**10, 2.0**16])
def test_a_float16_gradient_is_rounded_after_the_loss_scale(smoothing, scale):
    """The probabilities of 37,000 words are near 2⁻¹⁵, and the least positive float16 is 2⁻²⁴."""
    logits = torch.randn(4, 37_000).half().requires_grad_()
    targets, denominator = torch.randint(37_000, (4,)), 1000.0
    exact = logits.detach().double().requires_grad_()
    F.cross_entropy(exact, targets, reduction="sum", label_smoothing=smoothing).mul(scale / denominator).backward()
    (smoothed_cross_entropy(logits, targets, smoothing)[0] * (scale / denominator)).backward()
    torch.testing.assert_close(logits.grad.double(), exact.grad, rtol=1e-3, atol=2**-25)
    if scale == 2**16:
        assert (logits.grad == 0).float().mean() < 0.01


@pytest.fixture(params=["whole", "chunks"])
def of_logits(request, monkeypatch):
    """(logits, targets, ε) -> the two sums, by either way. In chunks, the output layer is the identity."""
    if request.param == "whole":
        return smoothed_cross_entropy
    if cpu_kernel(SOURCE, torch.float32) is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setattr(OUTPUT, "smoothed_cross_entropy", None)
    monkeypatch.setattr(OUTPUT, "CHUNK", 3)
    return lambda x, targets, smoothing: output_cross_entropy(x, torch.eye(x.size(1)), targets, smoothing)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shift", [0.0, 1e5, -1e5])
def test_far_from_zero_no_digit_is_lost(of_logits, smoothing, shift):
    logits = (3 * torch.randn(7, 45) + shift).requires_grad_()
    targets = torch.randint(45, (7,))
    exact = logits.detach().double().requires_grad_()
    expected = F.cross_entropy(exact, targets, reduction="sum", label_smoothing=smoothing)
    total, nll = of_logits(logits, targets, smoothing)
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert nll.item() == pytest.approx(F.cross_entropy(exact, targets, reduction="sum").item(), rel=1e-6)
    ours, theirs = torch.autograd.grad(total, logits)[0], torch.autograd.grad(expected, exact)[0]
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_word_of_probability_0(smoothing):
    """Without smoothing it costs nothing unless it is the target; with smoothing the loss is infinite."""
    logits = torch.tensor([[0.0, -torch.inf, 1.0]], requires_grad=True)
    total, _ = smoothed_cross_entropy(logits, torch.tensor([2]), smoothing)
    expected = F.cross_entropy(logits, torch.tensor([2]), reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(total, expected)
    assert total.isfinite() == (smoothing == 0)
    (gradient,) = torch.autograd.grad(total, logits)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, logits)[0], equal_nan=True)
    assert smoothed_cross_entropy(logits, torch.tensor([1]), 0.0)[0] == torch.inf


def test_float64_stays_float64():
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(5, (3,))
    total, _ = smoothed_cross_entropy(logits, targets, 0.1)
    assert total.dtype == torch.float64
    assert torch.autograd.gradcheck(lambda x: smoothed_cross_entropy(x, targets, 0.1)[0], logits)


@pytest.mark.parametrize("positions", [0, 1, 5, 12])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("onednn", [False, True])
def test_chunks_of_the_output_layer_equal_the_whole(positions, kind, autocast, onednn, monkeypatch):
    if onednn and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("torch has no oneDNN here")
    monkeypatch.setattr(LINEAR, "onednn_is_faster", lambda: onednn)
    monkeypatch.setattr(LINEAR, "SMALLEST", 0)
    monkeypatch.setattr(OUTPUT, "CHUNK", 5)
    torch.manual_seed(0)
    hidden, weight = torch.randn(positions, 16).to(kind), torch.randn(90, 16)
    weight = weight if autocast else weight.to(kind)
    leaves = [t.requires_grad_() for t in (hidden, weight)]
    targets = torch.randint(90, (positions,))
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    expected = F.cross_entropy(F.linear(*exact), targets, reduction="sum", label_smoothing=0.1)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        total, nll = output_cross_entropy(*leaves, targets, 0.1)
    digits = 2e-2 if autocast or kind == torch.bfloat16 else 1e-5
    assert total.dtype == nll.dtype == torch.float32
    torch.testing.assert_close(total.double(), expected, rtol=digits, atol=digits)
    pairs = zip(torch.autograd.grad(2 * total, leaves), torch.autograd.grad(2 * expected, exact), strict=True)
    for leaf, (ours, theirs) in zip(leaves, pairs, strict=True):
        assert ours.dtype == leaf.dtype
        torch.testing.assert_close(ours.double(), theirs, rtol=digits, atol=digits * max(1, positions) ** 0.5)


def test_the_logits_are_never_all_in_memory(monkeypatch):
    """The largest tensor is that of a chunk, whatever the vocabulary."""
    if cpu_kernel(SOURCE, torch.float32) is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setattr(OUTPUT, "CHUNK", 8)
    hidden, weight = torch.randn(64, 4, requires_grad=True), torch.randn(1000, 4, requires_grad=True)
    with Sizes() as seen:
        output_cross_entropy(hidden, weight, torch.zeros(64, dtype=torch.int64), 0.1)[0].backward()
    assert max(seen.sizes) == 8 * 1000


class Sizes(TorchDispatchMode):
    """Records the number of elements of every tensor that an operator of torch returns."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.sizes += [t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        return out


@pytest.mark.parametrize("target", [-1, 5])
def test_a_target_outside_the_vocabulary_is_refused(target):
    with pytest.raises((IndexError, RuntimeError)):
        output_cross_entropy(torch.randn(2, 4), torch.randn(5, 4), torch.tensor([0, target]), 0.1)
