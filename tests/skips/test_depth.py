"""Connections that depend on the net's depth or its first batch, and their initialisation of branches."""

from math import log

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skipln import skips
from skipln.models.resnet import ResNet, ResNetShape
from skipln.seam.connection import Place
from skipln.seam.profile import profile
from tests.skips.stacks import DIM, branch, norm, run, sites, through, transformer


@pytest.mark.parametrize(
    ("depths", "stack", "alpha", "beta"),
    [
        ({"encoder": 6, "decoder": 6}, "encoder", 1.418, 0.497),
        ({"encoder": 6, "decoder": 6}, "decoder", 2.060, 0.343),
        ({"encoder": 12}, "encoder", 24**0.25, 96**-0.25),  # (2N)^¼, (8N)^−¼
        ({"decoder": 12}, "decoder", 24**0.25, 96**-0.25),
        ({"encoder": 12, "decoder": 3}, "encoder", 0.81 * (12**4 * 3) ** 0.0625, 0.87 * (12**4 * 3) ** -0.0625),
        ({"encoder": 12, "decoder": 3}, "decoder", 9**0.25, 36**-0.25),
    ],
)
def test_deepnorm_has_the_papers_constants(depths, stack, alpha, beta):
    each = 3 if len(depths) == 2 and stack == "decoder" else 2
    place = Place(stack, 0, each * depths[stack], 1, depths[stack], "self_attention", depths)
    site = skips.create("deepnorm", 4, place=place)
    assert (site.lam, site.beta) == (pytest.approx(alpha, abs=1e-3), pytest.approx(beta, abs=1e-3))


def test_deepnorm_scales_the_matrices_that_the_paper_scales():
    plain, scaled = transformer("xskip_ln"), transformer("deepnorm")
    for stack, beta in (("encoder", 0.87 * (2**4 * 3) ** (-1 / 16)), ("decoder", 36**-0.25)):
        for one, other in zip(getattr(plain, stack), getattr(scaled, stack), strict=True):
            for site in one.sites:
                was, now = (getattr(layer, site.place.branch).weights() for layer in (one, other))
                for role, weight in was.items():
                    factor = 1 if role in ("query", "key") else beta
                    torch.testing.assert_close(now[role], factor * weight)


def test_deepnorm_at_one_is_post_ln(x, layout):
    one, other = transformer("xskip_ln"), transformer("deepnorm", alpha=1, beta=1)
    tokens = torch.randint(4, 20, (2, 3, 7))
    assert torch.equal(one(*tokens), other(*tokens))
    assert torch.equal(run("deepnorm", x, layout, alpha=1), run("xskip_ln", x, layout))


def test_b2t_adds_the_layers_input_at_its_last_site(x, layout):
    m = norm(x + branch(x))
    torch.testing.assert_close(run("b2t", x, layout, count=1), norm(x + m + branch(m)))
    y = norm(x + m + branch(m))
    m = norm(y + branch(y))
    torch.testing.assert_close(run("b2t", x, layout, count=2), norm(y + m + branch(m)))
    alone = skips.create("b2t", DIM, layout=layout).double()
    torch.testing.assert_close(through([alone], x), norm(x + branch(x)))


def test_b2t_of_three_sites_and_its_initialisation():
    """In a decoder layer it bypasses both attentions. Matrices are scaled by L^(−½), with L = 3 there, else 2."""
    x = torch.randn(3, 5, DIM, dtype=torch.float64)
    stack = [skips.create("b2t", DIM, place=Place("decoder", i, 3)).double() for i in range(3)]
    one = norm(x + branch(x))
    two = norm(one + branch(one))
    torch.testing.assert_close(through(stack, x), norm(x + two + branch(two)))
    plain, scaled = transformer("xskip_ln"), transformer("b2t")
    assert torch.equal(transformer("b2t", scale_init=False).encoder[0].feed_forward[0].weight,
                       plain.encoder[0].feed_forward[0].weight)  # fmt: skip
    for name, layers in (("encoder", 2), ("decoder", 3)):
        for branches in ("self_attention", "feed_forward"):
            was, now = (getattr(getattr(net, name)[0], branches).weights() for net in (plain, scaled))
            for role in was:
                torch.testing.assert_close(now[role], was[role] * layers**-0.5)


def test_keel_starts_as_pre_ln_and_is_post_ln_of_a_normed_branch_at_alpha_1(x, layout):
    inner = lambda h: branch(norm(h))  # noqa: E731
    first, second, third = sites("keel", layout, count=2)[:3]
    assert (first.alpha, second.alpha, third.alpha) == (1, 1, 4)
    torch.testing.assert_close(first(x, branch), x + inner(x))
    torch.testing.assert_close(second(x, branch), norm(x + inner(x)))
    torch.testing.assert_close(third(x, branch), norm(4 * x + inner(x)))
    later = [stack[1:] for stack in (sites("keel", layout, alpha=1.0), sites("xskip_ln", layout))]
    torch.testing.assert_close(through(later[0], x), through(later[1], x, inner))


def test_admin_starts_as_post_ln_or_by_depth(x, layout):
    assert torch.equal(run("admin", x, layout), run("xskip_ln", x, layout))
    by_depth = run("xskip_ln", x, layout, lam=(7 / log(7) - 1) ** 0.5)
    torch.testing.assert_close(run("admin", x, layout, omega="analytic"), by_depth, rtol=1e-5, atol=1e-5)
    net = transformer("admin", omega="analytic")
    for stack, omega in (("encoder", 1.4514), ("decoder", 1.8284)):  # their own stacks have 4 and 9 sites
        for layer in getattr(net, stack):
            assert [site.omega.mean().item() for site in layer.sites] == pytest.approx(
                [omega] * len(layer.sites), abs=1e-4
            )


def test_admin_is_profiled_in_one_pass(x, layout):
    """ω of a site is √(Var(ω⊙x) + Var F) at the site before, with that site's own ω."""
    stack = nn.ModuleList(sites("admin", layout, count=2))
    profile(stack, lambda: through(list(stack), x))
    y, omega = x, torch.tensor(1.0, dtype=torch.float64)
    for site in stack:
        torch.testing.assert_close(site.omega.data, omega.expand(DIM))
        f = branch(y)
        y, omega = norm(omega * y + f), ((omega * y).var(correction=0) + f.var(correction=0)).sqrt()
        assert site.profiled
    before = [site.omega.clone() for site in stack]
    profile(stack, lambda: through(list(stack), 3 * x))  # a second profile changes nothing
    assert all(torch.equal(site.omega, omega) for site, omega in zip(stack, before, strict=True))


def test_a_profile_ignores_padding_and_changes_nothing_else():
    site = nn.ModuleList(sites("admin", "btc", count=1))
    x = torch.randn(3, 5, DIM, dtype=torch.float64)
    mask = torch.tensor([5, 3, 1])[:, None] > torch.arange(5)
    profile(site, lambda: site[1](site[0](x, branch, mask), branch, mask))
    expected = (x[mask].var(correction=0) + branch(x)[mask].var(correction=0)).sqrt()
    torch.testing.assert_close(site[1].omega.data, expected.expand(DIM))
    make = lambda dim, place: skips.create("admin", dim, layout="nchw", place=place)  # noqa: E731
    net = ResNet(ResNetShape([2, 1], width=4), 1, 10, make)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    profile(net, lambda: net(torch.randn(4, 1, 8, 8)))
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"stages.0.1.site.omega", *(f"stages.{place}.site.profiled" for place in ("0.0", "0.1", "1.0"))}


@pytest.mark.parametrize("activation", ["pre", "post"])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_fixup_starts_a_resnet_as_its_shortcuts(activation, block):
    """Every branch and the logits are 0; other convolutions are He et al.'s times L^(−1/(2m−2)), with L = 3."""
    shape = ResNetShape([2, 1], width=4, block=block, activation=activation, norm="none")

    def net(name: str) -> ResNet:
        torch.manual_seed(0)
        return ResNet(shape, 1, 10, lambda dim, place: skips.create(name, dim, layout="nchw", place=place))

    plain, fixed = net("skip"), net("fixup")
    assert not fixed(torch.randn(3, 1, 8, 8)).any()
    for one, other in zip(plain.stages, fixed.stages, strict=True):
        for was, now in zip(one, other, strict=True):
            *inner, last = now.branch.weights()
            m = len(inner) + 1
            for role in inner:
                torch.testing.assert_close(
                    now.branch.weights()[role], was.branch.weights()[role] * 3 ** (-1 / (2 * m - 2))
                )
            assert not now.branch.weights()[last].any()
            assert [name.split(".")[-1] for name, _ in now.branch.named_parameters()].count("bias") == m + 1


def test_fixup_starts_a_transformer_as_the_identity():
    net, (source, target) = transformer("fixup"), torch.randint(4, 20, (2, 3, 7))
    entered = net._embed(source)
    torch.testing.assert_close(net.encode(source)[0], entered)
    query, was = (n.decoder[1].self_attention.weights() for n in (net, transformer("skip")))
    torch.testing.assert_close(query["query"], was["query"])
    torch.testing.assert_close(query["value"], was["value"] / 3)  # V and the output matrix are scaled by 9^(−1/2)
    torch.testing.assert_close(net(source, target), net.project(net._embed(target)).flatten(0, 1))


def test_fixup_joins_with_a_scale_and_biases(x, layout):
    assert torch.equal(run("fixup", x, layout), run("skip", x, layout))
    (site, _) = sites("fixup", layout, count=1)
    site.scale.data, site.before.bias.data, site.after.bias.data = (torch.tensor(v).double() for v in (0.3, 0.7, -2.0))
    torch.testing.assert_close(site(x, branch), x + 0.3 * branch(x + 0.7) - 2)


@pytest.mark.parametrize(
    ("depths", "stack", "gamma"),
    [
        ({"encoder": 12}, "encoder", log(24) ** 0.5),  # √ln 2N
        ({"encoder": 6, "decoder": 4}, "encoder", (log(12) * log(12) / 3) ** 0.5),  # √(ln 3M · ln 2N / 3)
        ({"encoder": 6, "decoder": 4}, "decoder", log(12) ** 0.5),
        ({"stage1": 3, "stage2": 3}, "stage2", log(6) ** 0.5),
        ({"stage1": 1}, "stage1", 1),
    ],
)
def test_sub_ln_has_the_papers_gain(depths, stack, gamma):
    each = 1 if stack.startswith("stage") else 3 if len(depths) == 2 and stack == "decoder" else 2
    place = Place(stack, 0, each * depths[stack], 1, depths[stack], "feed_forward", depths)
    assert skips.create("sub_ln", 4, place=place).gamma == pytest.approx(gamma)


def test_sub_ln_is_pre_ln_with_norms_before_the_last_matrices():
    plain, net = transformer("pre_ln"), transformer("sub_ln")
    for stack, gamma in (("encoder", (log(9) * log(4) / 3) ** 0.5), ("decoder", log(9) ** 0.5)):
        for one, other in zip(getattr(plain, stack), getattr(net, stack), strict=True):
            h = torch.randn(2, 5, 16)
            hidden = (h @ one.feed_forward[0].weight.T * gamma).relu()
            inner = F.layer_norm(hidden, hidden.shape[-1:])
            torch.testing.assert_close(other.feed_forward(h), inner @ one.feed_forward[-1].weight.T * gamma)
            for site in one.sites:
                was, now = (getattr(layer, site.place.branch).weights() for layer in (one, other))
                for role, weight in was.items():
                    same = role in ("query", "key") or site.place.branch == "source_attention"
                    torch.testing.assert_close(now[role], weight * (1 if same else gamma))
    _, _, value, out = plain.decoder[0].self_attention.weights().values()
    h, gamma = torch.randn(2, 1, 16), log(9) ** 0.5  # with a single position, attention returns its value
    inner = F.layer_norm(h @ value.T * gamma, (16,))
    torch.testing.assert_close(net.decoder[0].self_attention(h, h), inner @ out.T * gamma)


def test_without_its_inner_norms_sub_ln_is_pre_ln():
    net, tokens = transformer("sub_ln", gamma=1.0), torch.randint(4, 20, (2, 3, 7))
    for layer in (*net.encoder, *net.decoder):
        layer.feed_forward[-2] = nn.ReLU()
        for attention in (layer.self_attention, getattr(layer, "source_attention", layer.self_attention)):
            attention.inner = nn.Identity()
    assert torch.equal(net(*tokens), transformer("pre_ln")(*tokens))
