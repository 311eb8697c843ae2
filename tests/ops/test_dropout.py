import pytest
import torch

from skipln.ops import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_keeps_the_share_and_the_mean(p):
    torch.manual_seed(0)
    y = Dropout(p)(torch.ones(1001, 999))
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=2e-3)  # 4 standard deviations at n = 10⁶
    assert y.mean().item() == pytest.approx(1, abs=5e-3)
    assert y[y > 0].unique().item() == pytest.approx(1 / (1 - p), rel=1e-4)


def test_neighbours_are_dropped_independently():
    """Four decisions come from one draw: they must not know of each other."""
    torch.manual_seed(0)
    dropped = (Dropout(0.3)(torch.ones(400_000)) == 0).float()
    correlations = torch.corrcoef(torch.stack([dropped[k:-8][:390_000] for k in range(8)]))
    assert correlations.fill_diagonal_(0).abs().max() < 0.01


def test_the_same_seed_drops_the_same():
    x, dropout = torch.randn(5, 7), Dropout(0.5)
    torch.manual_seed(3)
    first = dropout(x)
    torch.manual_seed(3)
    assert torch.equal(dropout(x), first)


def test_is_the_identity_in_evaluation_and_at_zero():
    x = torch.randn(3)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_the_gradient_is_the_mask():
    x = torch.randn(50, dtype=torch.float64, requires_grad=True)
    y = Dropout(0.25)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient * x.detach(), y.detach())
