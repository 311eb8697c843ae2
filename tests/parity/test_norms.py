"""Norms against x-transformers and timm."""

import pytest
import torch

from tests.parity.agreement import DIM, agree, call, leaf, norm, stream

pytestmark = pytest.mark.parity


def gain(seed: int = 1) -> torch.Tensor:
    return leaf(DIM, seed=seed, around=1.0, spread=0.2)


@pytest.fixture(scope="module")
def x_transformers():
    pytest.importorskip("x_transformers", reason="x-transformers is not installed (make parity)")
    from x_transformers import x_transformers

    return x_transformers


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm", reason="timm is not installed (make parity)")


def test_rms_norm_agrees(x_transformers):
    x, g = stream(), gain()
    agree(lambda: call(norm("rms"), {"weight": g}, x), lambda: call(x_transformers.RMSNorm(DIM), {"g": g}, x), x, g)


def test_layer_norm_without_bias_agrees(x_transformers):
    x, g = stream(), gain()
    ours = lambda: call(norm("layer"), {"weight": g, "bias": torch.zeros(DIM)}, x)  # noqa: E731
    agree(ours, lambda: call(x_transformers.LayerNorm(DIM), {"gamma": g}, x), x, g)


def test_scale_norm_agrees_apart_from_the_root_of_dim_in_the_gain(x_transformers):
    x, g = stream(), leaf(1, around=1.0)
    ours = lambda: call(norm("scale"), {"weight": g * DIM**0.5}, x)  # noqa: E731
    agree(ours, lambda: call(x_transformers.ScaleNorm(DIM), {"g": g}, x), x, g)
    assert norm("scale").weight.item() == DIM**0.5 * x_transformers.ScaleNorm(DIM).g.item()


def test_dynamic_tanh_agrees_apart_from_its_start(x_transformers):
    x, g, b, alpha = stream(), gain(), gain(2), leaf(around=0.5, spread=0.1)
    ours = lambda: call(norm("dyt"), {"alpha": alpha, "weight": g, "bias": b}, x)  # noqa: E731
    theirs = x_transformers.DynamicTanh(DIM)
    agree(ours, lambda: call(theirs, {"pre_tanh_scale": alpha, "gamma": g, "beta": b}, x), x, g, b, alpha)
    assert (theirs.pre_tanh_scale.item(), norm("dyt").alpha.item()) == (1.0, 0.5)  # the paper's is 0.5


def test_dynamic_erf_agrees(x_transformers):
    x, g, b, alpha, s = stream(), gain(), gain(2), leaf(around=0.5, spread=0.1), leaf(seed=3)
    ours = lambda: call(norm("derf"), {"alpha": alpha, "shift": s, "weight": g, "bias": b}, x)  # noqa: E731
    theirs = x_transformers.Derf(DIM)
    agree(ours, lambda: call(theirs, {"alpha": alpha, "s": s, "gamma": g, "beta": b}, x), x, g, b, alpha, s)
    assert theirs.alpha.item() == norm("derf").alpha.item()


def test_timms_rms_norm_agrees(timm):
    x, g = stream(), gain()
    theirs = timm.layers.RmsNorm(DIM, eps=1e-6)
    agree(lambda: call(norm("rms"), {"weight": g}, x), lambda: call(theirs, {"weight": g}, x), x, g)


def test_timms_simple_norm_is_not_layer_simple(timm):
    """It does not subtract the mean, so it agrees only for inputs of mean 0."""
    x = stream().detach()
    theirs = timm.layers.SimpleNorm(DIM, affine=False)
    centred = x - x.mean(-1, keepdim=True)
    assert not torch.allclose(norm("layer_simple")(x), theirs(x), atol=0.05)
    spread = centred.std(-1, keepdim=True) / centred.std(-1, correction=0, keepdim=True)
    torch.testing.assert_close(norm("layer_simple")(x), theirs(centred) * spread, rtol=1e-4, atol=1e-4)
