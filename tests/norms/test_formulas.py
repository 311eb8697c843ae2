"""Every norm against its formula, written again here in float64, and against what it equals under certain options."""

import math

import pytest
import torch
import torch.nn.functional as F

from skipln import norms
from tests.norms.test_norms import build, maps  # noqa: F401

DIM = 6


@pytest.fixture
def tokens(maps) -> torch.Tensor:  # noqa: F811
    return maps.flatten(2).transpose(1, 2)


def in_layout(tokens: torch.Tensor, layout: str) -> torch.Tensor:
    """Return [batch, time, dim] unchanged, or its positions as the pixels of a map with one column."""
    return tokens if layout == "btc" else tokens.transpose(1, 2).unsqueeze(-1)


def columns(x: torch.Tensor, layout: str) -> torch.Tensor:
    return x if layout == "btc" else x.squeeze(-1).transpose(1, 2)


def layer_simple(norm, x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def ada(norm, x):
    centred = x - x.mean(-1, keepdim=True)
    y = centred / ((centred.square().sum(-1, keepdim=True) / (DIM - 1)).sqrt() + 1e-5)
    return y - 0.1 * y * y


def rms(norm, x):
    return norm.weight * x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


def scale(norm, x):
    return norm.weight * x / x.square().sum(-1, keepdim=True).sqrt()


def dyt(norm, x):
    e = (2 * norm.alpha * x).exp()
    return norm.weight * (e - 1) / (e + 1) + norm.bias


def derf(norm, x):
    inner = (norm.alpha * x + norm.shift).detach()
    return norm.weight * inner.clone().apply_(math.erf) + norm.bias


@pytest.mark.parametrize("layout", ["btc", "nchw"])
@pytest.mark.parametrize("formula", [layer_simple, ada, rms, scale, dyt, derf], ids=lambda f: f.__name__)
def test_a_position_or_pixel_follows_the_formula(formula, layout, tokens):
    options = {"axes": "channel"} if "axes" in norms.options(formula.__name__) else {}
    norm = build(formula.__name__, DIM, layout, **options)
    y = norm(in_layout(tokens, layout))
    torch.testing.assert_close(columns(y, layout), formula(norm, tokens))


@pytest.mark.parametrize("name", ["layer_simple", "ada", "rms"])
def test_a_whole_map_is_normalised_like_one_long_vector(name, maps):  # noqa: F811
    """With axes=all, the norm of a map is over all its values, apart from the gain."""
    norm = norms.create(name, axes="all")(DIM, "nchw").double()
    long = norms.create(name)(maps[0].numel(), "btc").double()
    torch.testing.assert_close(norm(maps), long(maps.flatten(1)[:, None]).view_as(maps))


@pytest.mark.parametrize(("layout", "axes"), [("btc", "all"), ("nchw", "all"), ("nchw", "channel")])
def test_layer_norm_starts_as_layer_simple(layout, axes, tokens):
    x = in_layout(tokens, layout)
    simple, whole = (norms.create(name, axes=axes)(DIM, layout).double() for name in ("layer_simple", "layer"))
    torch.testing.assert_close(simple(x), whole(x), rtol=1e-12, atol=1e-12)
    assert not list(simple.parameters()) and not simple.in_one_pass


def test_ada_norm_without_k_is_layer_simple_with_the_unbiased_deviation(tokens):
    y = norms.create("ada", k=0.0, c=3.0, eps=1e-12)(DIM, "btc")(tokens)
    simple = norms.create("layer_simple", eps=1e-12)(DIM, "btc")(tokens)
    torch.testing.assert_close(y, 3 * simple * ((DIM - 1) / DIM) ** 0.5)


def test_ada_norms_factor_has_no_gradient(tokens):
    """The gradient is that of f ⊙ y(x) with f constant, which differs from the gradient of the whole product."""
    norm, x = norms.create("ada", k=0.4)(DIM, "btc"), tokens[0, :1].clone().requires_grad_()
    weights = torch.linspace(-1, 2, DIM, dtype=torch.float64)
    (found,) = torch.autograd.grad((norm(x) * weights).sum(), x)

    def y(x):
        return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)

    def slopes(function):
        steps = 1e-6 * torch.eye(DIM, dtype=torch.float64)
        return torch.stack([(function(x + step) - function(x - step)).sum() / 2e-6 for step in steps])

    factor = (1 - 0.4 * y(x)).detach()
    with torch.no_grad():
        torch.testing.assert_close(found[0], slopes(lambda x: factor * y(x) * weights), rtol=1e-6, atol=1e-8)
        assert not torch.allclose(found[0], slopes(lambda x: norm(x) * weights), rtol=1e-2)


def test_scale_norm_is_rms_norm_with_one_gain(tokens):
    ours, theirs = build("scale", DIM, "btc"), norms.create("rms", eps=1e-12)(DIM, "btc").double()
    torch.nn.init.constant_(theirs.weight, ours.weight.item() / DIM**0.5)
    torch.testing.assert_close(ours(tokens), theirs(tokens))
    assert norms.create("scale")(16, "btc").weight.item() == 4
    assert torch.equal(ours(torch.zeros(1, 1, DIM).double()), torch.zeros(1, 1, DIM).double())


@pytest.mark.parametrize(("name", "slope"), [("dyt", 1.0), ("derf", 2 / math.sqrt(math.pi))])
def test_squashing_norms_are_linear_near_zero_and_bounded_far_from_it(name, slope, tokens):
    small = norms.create(name, alpha=1e-4)(DIM, "btc").double()
    torch.testing.assert_close(small(tokens), 1e-4 * slope * tokens, rtol=1e-5, atol=0)
    large = norms.create(name, alpha=1e4)(DIM, "btc").double()
    torch.testing.assert_close(large(tokens), tokens.sign())


def test_pre_ln_of_zero_mean_outputs_equals_pre_rms_norm():
    """If all that is added to the stream has mean 0, subtracting the mean changes nothing."""
    torch.manual_seed(0)
    inner, outer = torch.randn(DIM, DIM).double(), torch.randn(DIM, DIM).double()
    outer -= outer.mean(0)  # so that the outputs have mean 0 over channels
    x = torch.randn(3, 4, DIM).double()
    x -= x.mean(-1, keepdim=True)

    def stack(x, norm):
        for _ in range(3):
            x = x + torch.relu(norm(x) @ inner.T) @ outer.T
        return norm(x)

    layer, rms = (norms.create(name, eps=1e-5)(DIM, "btc").double() for name in ("layer", "rms"))
    torch.testing.assert_close(stack(x, layer), stack(x, rms))
    assert not torch.allclose(stack(x + 1, layer), stack(x + 1, rms))


def test_norm_none_returns_its_input(tokens):
    assert norms.create("none")(DIM, "btc")(tokens) is tokens


def test_rms_norm_equals_torchs(tokens):
    y = norms.create("rms")(DIM, "btc").double()(tokens)
    torch.testing.assert_close(y, F.rms_norm(tokens, (DIM,), eps=1e-6))
