"""What each connection equals at initialisation or for certain options."""

import pytest
import torch

from skipln import skips
from skipln.seam.connection import Place
from tests.skips.stacks import branch, norm, positions, run, sites, through


def test_pre_ln_is_skip_with_pre_norm(x, layout):
    assert torch.equal(run("pre_ln", x, layout), run("skip", x, layout, pre_norm=True))


@pytest.mark.parametrize("name", ["rezero", "skipinit"])
def test_rezero_and_skipinit_start_as_the_identity_and_are_the_plain_skip_at_alpha_1(x, layout, name):
    assert torch.equal(run(name, x, layout), x)
    assert torch.equal(run(name, x, layout, alpha=1.0), run("skip", x, layout))


def test_layer_scale_at_1_is_pre_ln_and_at_0_the_last_norm_of_x(x, layout):
    assert torch.equal(run("layer_scale", x, layout, gamma=1.0), run("pre_ln", x, layout))
    torch.testing.assert_close(run("layer_scale", x, layout, gamma=0.0), norm(x))


@pytest.mark.parametrize(("layers", "gamma"), [(6, 0.1), (12, 0.1), (24, 1e-5), (36, 1e-6), (48, 1e-6)])
def test_layer_scale_starts_with_the_gamma_of_its_depth(layers, gamma):
    site = skips.create("layer_scale", 4, place=Place(sites=2 * layers, layers=layers))
    assert site.gamma.tolist() == pytest.approx([gamma] * 4)


def test_highway_lies_between_x_and_its_branch(x, layout):
    torch.testing.assert_close(run("highway", x, layout, bias=-60), x)
    torch.testing.assert_close(run("highway", x, layout, count=1, bias=60), branch(branch(x)))
    (site, _) = sites("highway", layout, count=1, bias=-1)
    gate = 1 / (1 + torch.e)
    torch.testing.assert_close(site(x, branch), gate * branch(x) + (1 - gate) * x)
    torch.nn.init.normal_(site.gate.weight)
    channels = 1 if layout == "nchw" else -1
    gate = (x.movedim(channels, -1) @ site.gate.weight.T - 1).sigmoid().movedim(-1, channels)
    torch.testing.assert_close(site(x, branch), gate * branch(x) + (1 - gate) * x)


@pytest.mark.parametrize("name", ["sandwich_ln", "peri_ln"])
def test_sandwich_ln_is_pre_ln_with_a_norm_after_the_branch(x, layout, name):
    torch.testing.assert_close(run(name, x, layout), run("pre_ln", x, layout, branch=lambda h: norm(branch(h))))


def test_res_post_ln_is_the_plain_skip_with_a_normed_branch(x, layout):
    plain = run("skip", x, layout, branch=lambda h: norm(branch(h)))
    torch.testing.assert_close(run("res_post_ln", x, layout), norm(plain))
    torch.testing.assert_close(run("res_post_ln", x, layout, gain=0.0), norm(x))


def test_ln_scaling_is_pre_ln_with_smaller_gains_after_the_first_layer(x, layout):
    assert torch.equal(run("ln_scaling", x, layout, count=1), run("pre_ln", x, layout, count=1))
    smaller = sites("pre_ln", layout)
    for site in smaller:
        site.norm.weight.data /= site.place.layer**0.5
    torch.testing.assert_close(run("ln_scaling", x, layout), through(smaller, x))


@pytest.mark.parametrize("bound", ["softmax", "sigmoid"])
def test_laurel_rw_starts_as_a_mean(x, layout, bound):
    (site, _) = sites("laurel_rw", layout, count=1, bound=bound)
    torch.testing.assert_close(site(x, branch), (x + branch(x)) / 2)
    site.weights.data = torch.tensor([2.0, -1.0], dtype=torch.float64)
    e = torch.tensor([2.0, -1.0], dtype=torch.float64).exp()
    alpha, beta = e / e.sum() if bound == "softmax" else e / (1 + e)
    torch.testing.assert_close(site(x, branch), alpha * branch(x) + beta * x)


def test_laurel_lr_starts_as_the_plain_skip(x, layout):
    torch.testing.assert_close(run("laurel_lr", x, layout), run("skip", x, layout))
    (site, _) = sites("laurel_lr", layout, count=1, rank=3)
    torch.nn.init.normal_(site.up.weight)
    term = torch.einsum("cr,rd,nd...->nc...", site.up.weight, site.down.weight, x if layout == "nchw" else x.mT)
    term = term if layout == "nchw" else term.mT
    torch.testing.assert_close(site(x, branch), x + branch(x) + term)
    with pytest.raises(ValueError, match="rank is an integer greater than 0, not 0"):
        skips.create("laurel_lr", 4, rank=0)


def test_gpas_starts_as_pre_ln_and_leaves_the_gradient_alone(x, layout):
    assert torch.equal(run("gpas", x, layout), run("pre_ln", x, layout))
    (site, _) = sites("gpas", layout, count=1)
    site.gate.data.fill_(1.5)
    x.requires_grad_()
    y, z = site(x, branch), x + branch(norm(x))
    torch.testing.assert_close(y, z * (1 - 1.5 / (1 + torch.e**-1.5)))
    gradients = [torch.autograd.grad(value.sum(), x)[0] for value in (y, z)]
    torch.testing.assert_close(*gradients)


def test_mix_ln_is_post_ln_in_early_layers_and_pre_ln_in_later_ones(x, layout):
    assert torch.equal(run("mix_ln", x, layout, share=0.0), run("pre_ln", x, layout))
    assert torch.equal(run("mix_ln", x, layout, share=1.0), run("xskip_ln", x, layout))
    stack = sites("mix_ln", layout, count=4)  # a quarter is one layer, which has two sites
    post = norm((m := norm(x + branch(x))) + branch(m))
    torch.testing.assert_close(through(stack[:2], x), post)
    y = x
    for site in stack[2:]:
        torch.testing.assert_close(site(y, branch), y + branch(norm(y)))
    assert [site.post for site in sites("mix_ln", layout, count=3)] == [False] * 6
    with pytest.raises(ValueError, match=r"mix_ln: share is a number between 0 and 1, not 1\.5"):
        skips.create("mix_ln", 4, share=1.5)


@pytest.mark.parametrize("beta", [1e-6, 0.7, 1.0])
def test_deep_delta_replaces_the_component_along_its_branch(x, layout, beta):
    channels = 1 if layout == "nchw" else -1
    (site, _) = sites("deep_delta", layout, count=1, beta=beta)
    f = branch(norm(x))
    k = f / f.square().sum(channels, keepdim=True).sqrt()
    y = site(x, branch)
    along = (k * x).sum(channels, keepdim=True)
    torch.testing.assert_close(y, x + beta * (2 - along) * k)  # v = 4σ(0)
    if beta == 1:
        torch.testing.assert_close((k * y).sum(channels), torch.full_like(y.sum(channels), 2))
    for linear, bias in ((site.value, -60.0), (site.gate, 60.0)):  # v = 0 and β = 2 reflect x
        torch.nn.init.constant_(linear.bias, bias)
    torch.testing.assert_close(site(x, branch), x - 2 * along * k)
    for linear in (site.value, site.gate):
        torch.nn.init.normal_(linear.weight)
        torch.nn.init.normal_(linear.bias)
    v, b = (positions(h) @ linear.weight.T + linear.bias for h, linear in ((x, site.value), (norm(x), site.gate)))
    expected = positions(x) + 2 * b.sigmoid() * (4 * v.sigmoid() - positions(along)) * positions(k)
    torch.testing.assert_close(positions(site(x, branch)), expected)
    with pytest.raises(ValueError, match=r"deep_delta: beta is a number between 0 and 2, not 2\.0"):
        skips.create("deep_delta", 4, beta=2.0)


def test_an_orthogonal_update_has_no_component_along_x(x, layout):
    channels = 1 if layout == "nchw" else -1
    (site, _) = sites("orthogonal_update", layout, count=1)
    update = site(x, branch) - x
    torch.testing.assert_close((x * update).sum(channels), torch.zeros_like(x.sum(channels)), atol=1e-5, rtol=0)
    torch.testing.assert_close(site(x, lambda _: 3 * x), x, atol=1e-4, rtol=0)
    torch.testing.assert_close(site(x, lambda _: update), x + update, atol=1e-5, rtol=0)
