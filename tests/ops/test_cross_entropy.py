import pytest
import torch
import torch.nn.functional as F

from skipln.ops import smoothed_cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("positions", [1, 7])
@pytest.mark.parametrize("scale", [1.0, 300.0])  # so large that most probabilities are 0
def test_equals_torch_in_value_and_gradient(smoothing, positions, scale):
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
