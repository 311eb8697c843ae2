"""Connections that carry several streams or earlier outputs, against their formulas, position by position."""

import pytest
import torch
import torch.nn.functional as F

from skipln import skips
from tests.skips.stacks import DIM, branch, norm, positions, run, sites, through, unflat


def test_resi_dual_is_post_ln_beside_a_plain_sum(x, layout):
    stack, fs = sites("resi_dual", layout), []

    def kept(h: torch.Tensor) -> torch.Tensor:
        fs.append(branch(h))
        return fs[-1]

    y = through(stack, x, kept)
    torch.testing.assert_close(y, run("xskip_ln", x, layout) + norm(x + sum(fs)))


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
    """Return Σ_i matrix[..., i, j] H_i for all j and each position; streams [n, positions, dim]."""
    return torch.einsum("pij,ipd->jpd", matrix, streams)


def test_dynamic_hyper_connections_follow_the_formula(x, layout):
    """Written with the paper's matrices of each position, B, A_m and A_r, each with its dynamic part."""
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


@pytest.mark.parametrize("name", ["mhc", "ihc"])
def test_mhc_and_ihc_without_dynamic_weights_are_pre_ln(x, layout, name):
    stack = sites(name, layout)
    for site in stack:
        for part in (site.weights, getattr(site, "last", site.weights)):
            torch.nn.init.zeros_(part.phi)
    torch.testing.assert_close(through(stack, x), run("pre_ln", x, layout), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=f"{name}: streams is an integer greater than 1, not 1"):
        skips.create(name, 4, streams=1)


def test_ihc_is_mhc_without_mixing(x, layout):
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


def test_siamese_norm_follows_the_formula(x, layout):
    p, q = x, x
    for layer in (1, 1, 2, 2):
        p = norm(p)
        z = branch(norm(p + norm(q)))
        p, q = p + z / (2 * layer) ** 0.5, q + z
    torch.testing.assert_close(run("siamese_norm", x, layout, count=2), norm(norm(p) + norm(q)))


def test_attn_res_starts_as_a_mean_of_all_outputs_and_learns_to_weight_them(x, layout):
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
    """Two blocks, each with the sites of two layers; the current block counts with its sum so far."""
    sums, reads = [x], []
    for k in range(8):
        reads.append(torch.stack(sums).mean(0))
        f = branch(norm(reads[-1]))
        sums = [*sums, f] if k % 4 == 0 else [*sums[:-1], sums[-1] + f]
    torch.testing.assert_close(run("attn_res_block", x, layout, count=4, blocks=2), norm(sum(sums) / 3))
    with pytest.raises(ValueError, match="blocks is an integer of at least 0"):
        skips.create("attn_res_block", 4, blocks=-1)


def test_denseformer_starts_as_pre_ln_and_averages_earlier_layers(x, layout):
    torch.testing.assert_close(run("denseformer", x, layout), run("pre_ln", x, layout))
    stack = sites("denseformer", layout, count=2)
    assert [hasattr(site, "alpha") for site in stack] == [False, True, False, True]
    stack[1].alpha.data = torch.tensor([0.3, 0.7], dtype=torch.float64)
    stack[3].alpha.data = torch.tensor([0.2, -0.5, 1.1], dtype=torch.float64)
    layer = lambda h: (h := h + branch(norm(h))) + branch(norm(h))  # noqa: E731
    first = layer(x)
    second = layer(0.3 * x + 0.7 * first)
    torch.testing.assert_close(through(stack, x), norm(0.2 * x - 0.5 * first + 1.1 * second))
