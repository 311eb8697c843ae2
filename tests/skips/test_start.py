"""What a connection equals at initialisation or under a setting: site by site, or as a whole net."""

from collections.abc import Callable
from math import log

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skipln import skips
from skipln.engine.loop import after_step
from skipln.models.resnet import ResNet, ResNetShape
from skipln.models.transformer import Transformer, TransformerShape
from skipln.seam.connection import Connection, Place
from skipln.seam.profile import profile

DIM = 16
SHAPES = {"btc": (3, 5, DIM), "nchw": (3, DIM, 2, 4)}


@pytest.fixture(params=SHAPES)
def layout(request) -> str:
    return request.param


@pytest.fixture
def x(layout) -> torch.Tensor:
    return torch.randn(SHAPES[layout], dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def branch(h: torch.Tensor) -> torch.Tensor:
    return (1.7 * h).sin() + 0.3 * h.roll(1, 0)


def norm(x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, (DIM,)) if x.dim() == 3 else F.layer_norm(x, x.shape[1:])


def sites(name: str, layout: str, count: int = 3, **options: object) -> list[Connection]:
    """A stack of layers of two sites."""
    branches = ["self_attention", "feed_forward"]
    places = [Place("encoder", i, 2 * count, 1 + i // 2, count, branches[i % 2]) for i in range(2 * count)]
    return [skips.create(name, DIM, layout=layout, place=place, **options).double() for place in places]


def through(stack: list[Connection], x: torch.Tensor, branch: Callable = branch) -> torch.Tensor:
    stream = stack[0].enter(x)
    for site in stack:
        stream = site(stream, branch)
    return stack[-1].leave(stream)


def run(name: str, x: torch.Tensor, layout: str, branch: Callable = branch, **options: object) -> torch.Tensor:
    return through(sites(name, layout, **options), x, branch)


def test_pre_ln_is_skip_with_pre_norm(x, layout):
    assert torch.equal(run("pre_ln", x, layout), run("skip", x, layout, pre_norm=True))


@pytest.mark.parametrize("name", ["rezero", "skipinit"])
def test_rezero_and_skipinit_start_as_the_identity_and_are_plain_at_one(x, layout, name):
    assert torch.equal(run(name, x, layout), x)
    assert torch.equal(run(name, x, layout, alpha=1.0), run("skip", x, layout))


def test_layer_scale_at_one_is_pre_ln_and_at_zero_the_last_norm_of_x(x, layout):
    assert torch.equal(run("layer_scale", x, layout, gamma=1.0), run("pre_ln", x, layout))
    torch.testing.assert_close(run("layer_scale", x, layout, gamma=0.0), norm(x))


@pytest.mark.parametrize(("layers", "gamma"), [(6, 0.1), (12, 0.1), (24, 1e-5), (36, 1e-6), (48, 1e-6)])
def test_layer_scale_starts_by_depth(layers, gamma):
    site = skips.create("layer_scale", 4, place=Place(sites=2 * layers, layers=layers))
    assert site.gamma.tolist() == pytest.approx([gamma] * 4)


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
def test_deepnorms_constants(depths, stack, alpha, beta):
    each = 3 if len(depths) == 2 and stack == "decoder" else 2
    place = Place(stack, 0, each * depths[stack], 1, depths[stack], "self_attention", depths)
    site = skips.create("deepnorm", 4, place=place)
    assert (site.lam, site.beta) == (pytest.approx(alpha, abs=1e-3), pytest.approx(beta, abs=1e-3))


def transformer(name: str, **options: object) -> Transformer:
    torch.manual_seed(0)
    shape = TransformerShape(2, 3, 16, 32, 4, dropout=0.0)
    return Transformer(20, shape, lambda dim, place: skips.create(name, dim, place=place, **options))


def test_deepnorm_scales_what_the_paper_scales():
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
def test_sandwich_ln_is_pre_ln_with_a_norm_around_the_branch(x, layout, name):
    torch.testing.assert_close(run(name, x, layout), run("pre_ln", x, layout, branch=lambda h: norm(branch(h))))


def test_res_post_ln_is_a_plain_skip_of_a_normed_branch(x, layout):
    plain = run("skip", x, layout, branch=lambda h: norm(branch(h)))
    torch.testing.assert_close(run("res_post_ln", x, layout), norm(plain))
    torch.testing.assert_close(run("res_post_ln", x, layout, gain=0.0), norm(x))


def test_ln_scaling_is_pre_ln_in_the_first_layer_and_with_smaller_gains_behind_it(x, layout):
    assert torch.equal(run("ln_scaling", x, layout, count=1), run("pre_ln", x, layout, count=1))
    smaller = sites("pre_ln", layout)
    for site in smaller:
        site.norm.weight.data /= site.place.layer**0.5
    torch.testing.assert_close(run("ln_scaling", x, layout), through(smaller, x))


def test_resi_dual_is_post_ln_beside_a_plain_sum(x, layout):
    stack, fs = sites("resi_dual", layout), []

    def kept(h: torch.Tensor) -> torch.Tensor:
        fs.append(branch(h))
        return fs[-1]

    y = through(stack, x, kept)
    torch.testing.assert_close(y, run("xskip_ln", x, layout) + norm(x + sum(fs)))


def test_b2t_adds_the_layers_input_at_its_last_site(x, layout):
    m = norm(x + branch(x))
    torch.testing.assert_close(run("b2t", x, layout, count=1), norm(x + m + branch(m)))
    y = norm(x + m + branch(m))
    m = norm(y + branch(y))
    torch.testing.assert_close(run("b2t", x, layout, count=2), norm(y + m + branch(m)))
    alone = skips.create("b2t", DIM, layout=layout).double()
    torch.testing.assert_close(through([alone], x), norm(x + branch(x)))


def test_b2t_of_three_sites_and_its_initialisation():
    """A decoder's layer bypasses both attentions; matrices start at L^(−½), L = 3 there and 2 in the encoder."""
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


def test_keel_is_pre_ln_at_first_and_post_ln_of_a_normed_branch_at_one(x, layout):
    inner = lambda h: branch(norm(h))  # noqa: E731
    first, second, third = sites("keel", layout, count=2)[:3]
    assert (first.alpha, second.alpha, third.alpha) == (1, 1, 4)
    torch.testing.assert_close(first(x, branch), x + inner(x))
    torch.testing.assert_close(second(x, branch), norm(x + inner(x)))
    torch.testing.assert_close(third(x, branch), norm(4 * x + inner(x)))
    later = [stack[1:] for stack in (sites("keel", layout, alpha=1.0), sites("xskip_ln", layout))]
    torch.testing.assert_close(through(later[0], x), through(later[1], x, inner))


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


@pytest.mark.parametrize("dynamic", [False, True])
def test_hyper_connections_start_as_pre_ln(x, layout, dynamic):
    one, four = ({"streams": n, "dynamic": dynamic} for n in (1, 4))
    assert torch.equal(run("hyper_connections", x, layout, **one), run("pre_ln", x, layout))
    torch.testing.assert_close(
        run("hyper_connections", x, layout, **four), run("pre_ln", x, layout), rtol=1e-4, atol=1e-4
    )
    with pytest.raises(ValueError, match="hyper_connections: streams is an integer greater than 0, not 0"):
        skips.create("hyper_connections", 4, streams=0)


def test_hyper_connections_are_matrices_over_the_streams(layout, x):
    (_, site) = sites("hyper_connections", layout, count=1, streams=3)
    for parameter in (site.reading, site.mixing, site.writing):
        torch.nn.init.normal_(parameter)
    streams = torch.stack((x, x.cos(), 2 * x - 1))
    f = branch(norm(torch.tensordot(site.reading, streams, 1)))
    expected = torch.tensordot(site.mixing.T, streams, 1) + torch.stack([b * f for b in site.writing])
    torch.testing.assert_close(torch.stack(site(tuple(streams), branch)), expected)


def of_streams(matrix: torch.Tensor, streams: torch.Tensor) -> torch.Tensor:
    """Σ_i matrix[..., i, j] H_i for all j, position by position; streams [n, positions, dim]."""
    return torch.einsum("pij,ipd->jpd", matrix, streams)


def positions(x: torch.Tensor) -> torch.Tensor:
    """[positions, dim] of a sequence or a feature map."""
    return (x.movedim(1, -1) if x.dim() == 4 else x).flatten(0, -2)


def test_dynamic_hyper_connections_follow_the_formula(x, layout):
    """By matrices of each position, as the paper writes them: B, A_m and A_r, each with what moves it."""
    (_, site) = sites("hyper_connections", layout, count=1, streams=3, dynamic=True)
    for parameter in (site.reading, site.mixing, site.writing, site.moving, site.scales):
        torch.nn.init.normal_(parameter)
    streams = (x, x.cos(), 2 * x - 1)
    h = torch.stack([positions(stream) for stream in streams])
    moved = torch.tanh(F.layer_norm(h, (DIM,)) @ site.moving.T)  # [n, positions, 1 + n + 1]
    s, t = site.scales
    reading = site.reading + s * moved[..., 0].T
    mixing = site.mixing + s * moved[..., 1:-1].transpose(0, 1)
    writing = site.writing + t * moved[..., -1].T
    seen = []
    y = site(streams, lambda z: seen.append(z) or branch(z))
    torch.testing.assert_close(positions(seen[0]), positions(norm(unflat(torch.einsum("pi,ipd->pd", reading, h), x))))
    expected = of_streams(mixing, h) + torch.einsum("pj,pd->jpd", writing, positions(branch(seen[0])))
    torch.testing.assert_close(torch.stack([positions(stream) for stream in y]), expected)


def unflat(h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The reverse of `positions`."""
    return h.view(x.movedim(1, -1).shape).movedim(-1, 1) if x.dim() == 4 else h.view(x.shape)


@pytest.mark.parametrize("name", ["mhc", "ihc"])
def test_mhc_and_ihc_are_pre_ln_where_nothing_depends_on_the_position(x, layout, name):
    stack = sites(name, layout)
    for site in stack:
        for part in (site.weights, getattr(site, "last", site.weights)):
            torch.nn.init.zeros_(part.phi)
    torch.testing.assert_close(through(stack, x), run("pre_ln", x, layout), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=f"{name}: streams is an integer greater than 1, not 1"):
        skips.create(name, 4, streams=1)


def test_ihc_is_mhc_that_mixes_nothing(x, layout):
    mhc, ihc = sites("mhc", layout), sites("ihc", layout)
    for one, other in zip(mhc, ihc, strict=True):
        other.weights.phi.data, other.weights.scales.data = one.weights.phi[:8].data, one.weights.scales[:2].data
        one.weights.biases[2].data *= 100
        one.weights.scales.data[2] = 0
    ihc[-1].last.phi.data = mhc[-1].last.phi.data
    torch.testing.assert_close(through(mhc, x), through(ihc, x), rtol=1e-4, atol=1e-4)


def test_mhc_follows_the_formula(x, layout):
    (_, site) = sites("mhc", layout, count=1, streams=3)
    for parameter in (*site.weights.parameters(), *site.last.parameters()):
        torch.nn.init.normal_(parameter)
    streams = (x, x.cos(), 2 * x - 1)
    h = torch.stack([positions(stream) for stream in streams])
    v = h.transpose(0, 1).flatten(1)
    v = v / (v.square().mean(1, keepdim=True) + 1e-6).sqrt()
    (a1, a2, a3), (b1, b2, b3), z = site.weights.scales, site.weights.biases, v @ site.weights.phi.T
    pre, post = torch.sigmoid(a1 * z[:, :3] + b1) + 1e-6, 2 * torch.sigmoid(a2 * z[:, 3:6] + b2)
    m = torch.softmax(a3 * z[:, 6:].view(-1, 3, 3) + b3, 2) + 1e-6
    m = m / m.sum(1, keepdim=True)
    for _ in range(19):
        m = m / m.sum(2, keepdim=True)
        m = m / m.sum(1, keepdim=True)
    seen = []
    y = site(streams, lambda z: seen.append(z) or branch(z))
    torch.testing.assert_close(
        positions(seen[0]), positions(norm(unflat(torch.einsum("pi,ipd->pd", pre, h), x))), rtol=1e-4, atol=1e-4
    )
    expected = of_streams(m, h) + torch.einsum("pj,pd->jpd", post, positions(branch(seen[0])))
    torch.testing.assert_close(torch.stack([positions(part) for part in y]), expected, rtol=1e-4, atol=1e-4)
    read = torch.sigmoid(site.last.scales[0] * (v @ site.last.phi.T) + site.last.biases[0])
    torch.testing.assert_close(
        site.leave(streams), norm(unflat(torch.einsum("pi,ipd->pd", read, h), x)), rtol=1e-4, atol=1e-4
    )


def test_gpas_starts_as_pre_ln_and_leaves_the_gradient_alone(x, layout):
    assert torch.equal(run("gpas", x, layout), run("pre_ln", x, layout))
    (site, _) = sites("gpas", layout, count=1)
    site.gate.data.fill_(1.5)
    x.requires_grad_()
    y, z = site(x, branch), x + branch(norm(x))
    torch.testing.assert_close(y, z * (1 - 1.5 / (1 + torch.e**-1.5)))
    gradients = [torch.autograd.grad(value.sum(), x)[0] for value in (y, z)]
    torch.testing.assert_close(*gradients)


def test_mix_ln_is_post_ln_below_and_pre_ln_above(x, layout):
    assert torch.equal(run("mix_ln", x, layout, share=0.0), run("pre_ln", x, layout))
    assert torch.equal(run("mix_ln", x, layout, share=1.0), run("xskip_ln", x, layout))
    stack = sites("mix_ln", layout, count=4)  # a quarter is one layer, of two sites
    post = norm((m := norm(x + branch(x))) + branch(m))
    torch.testing.assert_close(through(stack[:2], x), post)
    y = x
    for site in stack[2:]:
        torch.testing.assert_close(site(y, branch), y + branch(norm(y)))
    assert [site.post for site in sites("mix_ln", layout, count=3)] == [False] * 6
    with pytest.raises(ValueError, match=r"mix_ln: share is a number between 0 and 1, not 1\.5"):
        skips.create("mix_ln", 4, share=1.5)


def test_siamese_norm_follows_the_formula(x, layout):
    p, q = x, x
    for layer in (1, 1, 2, 2):
        p = norm(p)
        z = branch(norm(p + norm(q)))
        p, q = p + z / (2 * layer) ** 0.5, q + z
    torch.testing.assert_close(run("siamese_norm", x, layout, count=2), norm(norm(p) + norm(q)))


@pytest.mark.parametrize("beta", [1e-6, 0.7, 1.0])
def test_deep_delta_replaces_what_lies_along_its_branch(x, layout, beta):
    channels = 1 if layout == "nchw" else -1
    (site, _) = sites("deep_delta", layout, count=1, beta=beta)
    f = branch(norm(x))
    k = f / f.square().sum(channels, keepdim=True).sqrt()
    y = site(x, branch)
    along = (k * x).sum(channels, keepdim=True)
    torch.testing.assert_close(y, x + beta * (2 - along) * k)  # v = 4σ(0)
    if beta == 1:
        torch.testing.assert_close((k * y).sum(channels), torch.full_like(y.sum(channels), 2))
    for linear in (site.value, site.gate):
        torch.nn.init.normal_(linear.weight)
        torch.nn.init.normal_(linear.bias)
    v, b = (positions(h) @ linear.weight.T + linear.bias for h, linear in ((x, site.value), (norm(x), site.gate)))
    expected = positions(x) + 2 * b.sigmoid() * (4 * v.sigmoid() - positions(along)) * positions(k)
    torch.testing.assert_close(positions(site(x, branch)), expected)
    with pytest.raises(ValueError, match=r"deep_delta: beta is a number between 0 and 2, not 2\.0"):
        skips.create("deep_delta", 4, beta=2.0)


def test_attn_res_starts_as_a_mean_of_all_outputs_and_then_chooses(x, layout):
    outputs = [x]
    for _ in range(4):
        outputs.append(branch(norm(torch.stack(outputs).mean(0))))
    mean = norm(torch.stack(outputs).mean(0))
    torch.testing.assert_close(run("attn_res", x, layout, count=2), mean)
    torch.testing.assert_close(run("attn_res_block", x, layout, count=2, blocks=4), mean)
    stack = sites("attn_res", layout, count=1)
    query, last = stack[1].query, stack[1].last_query
    torch.nn.init.normal_(query)
    torch.nn.init.normal_(last)

    def attended(query: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        v = torch.stack([positions(value) for value in values])
        scores = (v / (v.square().mean(-1, keepdim=True) + 1e-6).sqrt()) @ query
        return unflat((scores.softmax(0)[..., None] * v).sum(0), x)

    one = branch(norm(x))
    two = branch(norm(attended(query, x, one)))
    torch.testing.assert_close(through(stack, x), norm(attended(last, x, one, two)))


def test_attn_res_sums_the_outputs_of_a_block(x, layout):
    """Two blocks of two layers' sites each; the present block counts as far as it got."""
    sums, reads = [x], []
    for k in range(8):
        reads.append(torch.stack(sums).mean(0))
        f = branch(norm(reads[-1]))
        sums = [*sums, f] if k % 4 == 0 else [*sums[:-1], sums[-1] + f]
    torch.testing.assert_close(run("attn_res_block", x, layout, count=4, blocks=2), norm(sum(sums) / 3))
    with pytest.raises(ValueError, match="blocks is an integer of at least 0"):
        skips.create("attn_res_block", 4, blocks=-1)


def test_denseformer_starts_as_pre_ln_and_means_what_came_before(x, layout):
    torch.testing.assert_close(run("denseformer", x, layout), run("pre_ln", x, layout))
    stack = sites("denseformer", layout, count=2)
    assert [hasattr(site, "alpha") for site in stack] == [False, True, False, True]
    stack[1].alpha.data = torch.tensor([0.3, 0.7], dtype=torch.float64)
    stack[3].alpha.data = torch.tensor([0.2, -0.5, 1.1], dtype=torch.float64)
    layer = lambda h: (h := h + branch(norm(h))) + branch(norm(h))  # noqa: E731
    first = layer(x)
    second = layer(0.3 * x + 0.7 * first)
    torch.testing.assert_close(through(stack, x), norm(0.2 * x - 0.5 * first + 1.1 * second))


def test_an_orthogonal_update_has_nothing_along_x(x, layout):
    channels = 1 if layout == "nchw" else -1
    (site, _) = sites("orthogonal_update", layout, count=1)
    update = site(x, branch) - x
    torch.testing.assert_close((x * update).sum(channels), torch.zeros_like(x.sum(channels)), atol=1e-5, rtol=0)
    torch.testing.assert_close(site(x, lambda _: 3 * x), x, atol=1e-4, rtol=0)
    torch.testing.assert_close(site(x, lambda _: update), x + update, atol=1e-5, rtol=0)


@pytest.mark.parametrize("per", ["scalar", "channel"])
@pytest.mark.parametrize(("name", "fixed"), [("xskip_learned", "xskip"), ("xskip_ln_learned", "xskip_ln")])
def test_a_learned_lambda_starts_as_a_fixed_one_and_moves(x, layout, name, fixed, per):
    assert torch.equal(run(name, x, layout, lam=2.5, per=per), run(fixed, x, layout, lam=2.5))
    (site, _) = sites(name, layout, count=1, per=per)
    site.lam.data = torch.rand_like(site.lam)
    lam = site.lam.reshape(-1, 1, 1) if layout == "nchw" else site.lam
    y = lam * x + branch(x)
    torch.testing.assert_close(site(x, branch), norm(y) if "_ln" in name else y)
    assert site.lam.numel() == (1 if per == "scalar" else DIM)


@pytest.mark.parametrize("lam", [1, 2, 5])
def test_a_learned_rskip_is_the_recursion_at_an_integer(x, layout, lam):
    """Which `rskip_ln` computes step by step, with norms that begin without gain and bias."""
    for per in ("scalar", "channel"):
        learned = run("rskip_ln_learned", x, layout, lam=lam, per=per)
        torch.testing.assert_close(learned, run("rskip_ln", x, layout, lam=lam), rtol=1e-4, atol=1e-4)


def test_a_learned_rskip_goes_part_of_a_step_between_integers(x, layout):
    (site, _) = sites("rskip_ln_learned", layout, count=1, lam=2.25)
    over = -1 if layout == "btc" else (1, 2, 3)
    f = branch(x)
    a = 1.0
    for part in (1, 0.25):
        a = a + part * ((a * x + f).var(over, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(site(x, branch), norm(a * x + f))
    torch.testing.assert_close(
        run("rskip_ln_learned", x, layout, lam=0.4), run("xskip_ln", x, layout, lam=0.4), rtol=1e-6, atol=1e-6
    )
    site.lam.data.fill_(float("nan"))  # a training that diverged is a result, not a crash
    assert site(x, branch).isnan().all()
    site.lam.data.fill_(1e30)
    torch.testing.assert_close(site.float()(x.float(), branch), norm(x.float()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("per", ["scalar", "channel"])
@pytest.mark.parametrize("lam", [0.5, 1.6, 2.0, 3.3])
def test_a_learned_rskips_gradient_is_right(x, layout, lam, per):
    (site, _) = sites("rskip_ln_learned", layout, count=1, lam=lam, per=per)
    if per == "channel":
        site.lam.data += torch.linspace(-0.1, 0.1, DIM)
    elif lam == 2:
        site.lam.data -= 1e-3  # at an integer the slope is that of the step before

    def loss(value: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(site, {"lam": value}, (x, branch)).sin().sum()

    assert torch.autograd.gradcheck(loss, (site.lam,))


def test_admin_starts_as_post_ln_or_by_depth(x, layout):
    assert torch.equal(run("admin", x, layout), run("xskip_ln", x, layout))
    by_depth = run("xskip_ln", x, layout, lam=(7 / log(7) - 1) ** 0.5)
    torch.testing.assert_close(run("admin", x, layout, omega="analytic"), by_depth, rtol=1e-5, atol=1e-5)
    net = transformer("admin", omega="analytic")
    for stack, omega in (("encoder", 1.4514), ("decoder", 1.8284)):  # 4 sites and 9 of their own stack
        for layer in getattr(net, stack):
            assert [site.omega.mean().item() for site in layer.sites] == pytest.approx(
                [omega] * len(layer.sites), abs=1e-4
            )


def test_admin_is_profiled_in_one_pass(x, layout):
    """ω of a site is √(Var(ω⊙x) + Var F) of the one before, where that already has its own."""
    stack = nn.ModuleList(sites("admin", layout, count=2))
    profile(stack, lambda: through(list(stack), x))
    y, omega = x, torch.tensor(1.0, dtype=torch.float64)
    for site in stack:
        torch.testing.assert_close(site.omega.data, omega.expand(DIM))
        f = branch(y)
        y, omega = norm(omega * y + f), ((omega * y).var(correction=0) + f.var(correction=0)).sqrt()
        assert site.profiled
    before = [site.omega.clone() for site in stack]
    profile(stack, lambda: through(list(stack), 3 * x))  # once
    assert all(torch.equal(site.omega, omega) for site, omega in zip(stack, before, strict=True))


def test_a_profile_counts_no_padding_and_leaves_no_other_trace():
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
    """Every branch gives 0, the logits are 0; the other convolutions are He et al.'s times L^(−1/(2m−2)), L = 3."""
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
    torch.testing.assert_close(query["value"], was["value"] / 3)  # 9^(−1/2), of V and the output
    torch.testing.assert_close(net(source, target), net.project(net._embed(target)).flatten(0, 1))


def test_fixup_joins_with_a_scale_and_biases(x, layout):
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
def test_sub_lns_gain(depths, stack, gamma):
    each = 1 if stack.startswith("stage") else 3 if len(depths) == 2 and stack == "decoder" else 2
    place = Place(stack, 0, each * depths[stack], 1, depths[stack], "feed_forward", depths)
    assert skips.create("sub_ln", 4, place=place).gamma == pytest.approx(gamma)


def test_sub_ln_is_pre_ln_with_norms_in_front_of_the_last_matrices():
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
    h, gamma = torch.randn(2, 1, 16), log(9) ** 0.5  # of a single position: attention gives its value
    inner = F.layer_norm(h @ value.T * gamma, (16,))
    torch.testing.assert_close(net.decoder[0].self_attention(h, h), inner @ out.T * gamma)


def test_without_its_inner_norms_sub_ln_is_pre_ln():
    net, tokens = transformer("sub_ln", gamma=1.0), torch.randint(4, 20, (2, 3, 7))
    for layer in (*net.encoder, *net.decoder):
        layer.feed_forward[-2] = nn.ReLU()
        for attention in (layer.self_attention, getattr(layer, "source_attention", layer.self_attention)):
            attention.inner = nn.Identity()
    assert torch.equal(net(*tokens), transformer("pre_ln")(*tokens))


def test_normformer_scales_heads_and_norms_what_attention_gives():
    plain, net = transformer("pre_ln"), transformer("normformer")
    for one, other in zip(plain.decoder, net.decoder, strict=True):
        h = torch.randn(2, 1, 16)
        for scale in (other.self_attention.inner.scale, other.source_attention.inner.scale):
            assert scale.tolist() == [1] * 4
        _, _, value, out = one.self_attention.weights().values()
        other.self_attention.inner.scale.data = torch.tensor([1.0, 2.0, 3.0, 4.0])
        heads = (h @ value.T).view(2, 1, 4, 4) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None]
        torch.testing.assert_close(other.self_attention(h, h), heads.flatten(2) @ out.T)
        hidden = (h @ one.feed_forward[0].weight.T).relu()
        inner = F.layer_norm(hidden, hidden.shape[-1:])
        torch.testing.assert_close(other.feed_forward(h), inner @ one.feed_forward[-1].weight.T)


def test_normformer_is_sandwich_ln_at_an_attention_and_pre_ln_elsewhere(x, layout):
    attention, feed_forward = sites("normformer", layout, count=1, scale_residual=True)
    torch.testing.assert_close(attention(x, branch), x + norm(branch(norm(x))))
    torch.testing.assert_close(feed_forward(x, branch), x + branch(norm(x)))
    feed_forward.residual.data = torch.linspace(0, 1, DIM, dtype=torch.float64)
    expected = x * feed_forward.of_channels(feed_forward.residual) + branch(norm(x))
    torch.testing.assert_close(feed_forward(x, branch), expected)
    assert torch.equal(feed_forward.of_channels(feed_forward.residual).flatten(), feed_forward.residual)
    assert [name for name, _ in attention.named_parameters() if "residual" in name] == []


def test_ngpt_turns_a_stream_of_fixed_norm(x, layout):
    """The formula with norms in place of rms, on a stream √dim times smaller."""
    channels = 1 if layout == "nchw" else -1
    unit = lambda h: h / h.square().sum(channels, keepdim=True).sqrt()  # noqa: E731
    (site, _) = sites("ngpt", layout, count=1)
    h = unit(x)
    expected = unit(h + 0.05 * (unit(branch(DIM**0.5 * h)) - h))
    torch.testing.assert_close(site(DIM**0.5 * h, branch), DIM**0.5 * expected)
    assert site.rate.tolist() == pytest.approx([DIM**-0.5] * DIM)
    torch.nn.init.normal_(site.rate)
    a = site.of_channels((site.rate * 0.05 * DIM**0.5).abs())
    torch.testing.assert_close(site(DIM**0.5 * h, branch), DIM**0.5 * unit(h + a * (unit(branch(DIM**0.5 * h)) - h)))


def test_ngpts_matrices_keep_their_norm_along_the_streams_channels():
    net = transformer("ngpt")

    def norms() -> list[torch.Tensor]:
        return [
            weight.norm(dim=0 if role == "out" else 1)
            for layer in (*net.encoder, *net.decoder)
            for site in layer.sites
            for role, weight in getattr(layer, site.place.branch).weights().items()
        ]

    assert all(torch.allclose(found, torch.ones_like(found)) for found in norms())
    for parameter in net.parameters():
        parameter.data += torch.randn_like(parameter)
    assert not any(torch.allclose(found, torch.ones_like(found)) for found in norms())
    after_step(net)
    assert all(torch.allclose(found, torch.ones_like(found)) for found in norms())
    assert not torch.allclose(net.embedding.weight.norm(dim=1), torch.ones(20))


@pytest.mark.parametrize("name", skips.names())
def test_every_parameter_of_a_connection_learns(name):
    """After one update: where a branch starts at zero, what feeds it has no gradient before, and the encoder hears of
    the loss once the decoder's branches do. What is put into the branches learns too; a step in bf16 is finite."""
    net, others = transformer(name), dict(transformer("skip").named_parameters())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    source, target = torch.randint(4, 20, (2, 4, 7), generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(net(source, target), target.flatten())
    loss.backward()
    assert loss.isfinite() and all(parameter.grad.isfinite().all() for parameter in net.parameters())
    for updates in range(3):
        optimizer.zero_grad()
        F.cross_entropy(net(source, target), target.flatten()).backward()
        for key, parameter in net.named_parameters():
            of_connection = ".sites." in key or key not in others
            if of_connection and (updates == 2 or (updates == 1 and key.startswith("decoder."))):
                assert parameter.grad.abs().sum() > 0, (updates, key)
        optimizer.step()
