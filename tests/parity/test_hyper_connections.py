"""Hyper-Connections, mHC and iHC against the package hyper-connections and transformers."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from skipln.seam.connection import Connection
from tests.parity.agreement import DIM, ROWS, TIME, Branch, agree, branch, leaf, site, stream

pytestmark = pytest.mark.parity

STREAMS = 3


def set_apart(sites: list[Connection], spread: float) -> list[Tensor]:
    """Move all parameters but those of norms away from their initial values, and return them."""
    found = []
    for i, one in enumerate(sites):
        for j, (name, parameter) in enumerate(one.named_parameters()):
            if "norm" not in name:
                parameter.data += spread * leaf(*parameter.shape, seed=100 * i + j).detach()
                found.append(parameter)
    return found


def through(sites: list[Connection], x: Tensor, f) -> Tensor:
    """Return the streams after the sites, stacked."""
    streams = sites[0].enter(x)
    for one in sites:
        streams = one(streams, f)
    return torch.stack(streams, dim=2)


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("hyper_connections", reason="hyper-connections is not installed (make parity)")


def centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


@pytest.fixture
def double():
    """Make float64 the default type during the test."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dynamic", [False, True])
def test_our_hyper_connections_equal_the_packages(package, double, dynamic):
    """We norm the inputs of dynamic weights by LN, as in the paper, and the package by RMSNorm. Both are the same for
    inputs of mean 0, apart from LN's eps, which does not matter for a stream of scale 100."""
    sites = [site("hyper_connections", i, streams=STREAMS, dynamic=dynamic) for i in range(3)]
    leaves, x = set_apart(sites, 0.3), leaf(ROWS, TIME, DIM, spread=100.0)
    theirs = [package.HyperConnections(STREAMS, dim=DIM, branch=Branch(), layer_index=i) for i in range(3)]

    def f(h: Tensor) -> Tensor:
        return centred(branch(h))

    def ours() -> Tensor:
        return through(sites, centred(x), f)

    def weights(one: Connection) -> dict[str, Tensor]:
        zero = torch.zeros(DIM, STREAMS + 2)
        moving = zero if one.moving is None else one.moving.T
        scales = torch.zeros(2) if one.scales is None else one.scales
        return {
            "static_alpha": torch.cat((one.reading[:, None], one.mixing), dim=1),
            "static_beta": one.writing,
            "dynamic_alpha_fn": moving[:, :-1],
            "dynamic_beta_fn": moving[:, -1],
            "dynamic_alpha_scale": scales[0],
            "dynamic_beta_scale": scales[1],
            "norm.gamma": torch.zeros(DIM),
        }

    def streams() -> Tensor:
        h = centred(x).repeat_interleave(STREAMS, 0)
        for module, one in zip(theirs, sites, strict=True):
            module.branch.forward = lambda h, norm=one.norm: f(norm(h))
            h = functional_call(module, weights(one), (h,))
        return h.unflatten(0, (-1, STREAMS)).movedim(1, 2)

    agree(ours, streams, x, *leaves)


def configuration() -> SimpleNamespace:
    return SimpleNamespace(
        hc_mult=STREAMS, hc_sinkhorn_iters=20, hc_eps=1e-6, hc_magnitude=2.0, hidden_size=DIM, rms_norm_eps=1e-6
    )


@pytest.fixture(scope="module")
def deepseek():
    return pytest.importorskip(
        "transformers.models.deepseek_v4.modeling_deepseek_v4", reason="transformers is not installed (make peers)"
    )


@pytest.fixture(scope="module")
def hunyuan():
    return pytest.importorskip(
        "transformers.models.hy_v4.modeling_hy_v4", reason="transformers is not installed (make peers)"
    )


def flat(one: Connection) -> dict[str, Tensor]:
    bounded = one.weights
    base = torch.cat([bias.flatten() for bias in bounded.biases])
    return {"fn": bounded.phi, "base": base, "scale": bounded.scales}


def sites_of(name: str) -> tuple[list[Connection], list[Tensor]]:
    sites = [site(name, i, sites=2, layers=1, streams=STREAMS) for i in range(2)]
    return sites, set_apart(sites, 0.3)


def head_of(module: type, one: Connection, h: Tensor) -> Tensor:
    """Compute their read-out; it adds ε to every weight, which is smaller than the tolerance here."""
    given = {"hc_fn": one.last.phi, "hc_base": one.last.biases[0], "hc_scale": one.last.scales}
    return functional_call(module(configuration()), given, (h,))


def test_mhc_equals_deepseeks_in_transformers(deepseek):
    """Their `comb` mixes as a transposed matrix: H_j ← Σ_i comb_ij H_i."""
    (sites, leaves), x = sites_of("mhc"), stream()

    def theirs() -> Tensor:
        h = x.unsqueeze(2).expand(-1, -1, STREAMS, -1)
        for one in sites:
            module = deepseek.DeepseekV4HyperConnection(configuration())
            post, comb, collapsed = functional_call(module, flat(one), (h.contiguous(),))
            h = post.unsqueeze(-1) * branch(one.norm(collapsed)).unsqueeze(2) + comb.transpose(-1, -2) @ h
        return head_of(deepseek.DeepseekV4HyperHead, sites[-1], h)

    agree(lambda: read_out(sites, x), theirs, x, *leaves)


def test_ihc_equals_hunyuans_in_transformers(hunyuan):
    """Theirs adds ε to the writing weights, too."""
    (sites, leaves), x = sites_of("ihc"), stream()

    def theirs() -> Tensor:
        h = x.unsqueeze(2).expand(-1, -1, STREAMS, -1)
        for one in sites:
            module = hunyuan.HYV4HyperConnection(configuration())
            post, collapsed = functional_call(module, flat(one), (h,))
            h = h + post.unsqueeze(-1) * branch(one.norm(collapsed)).unsqueeze(2)
        return head_of(hunyuan.HYV4HyperHead, sites[-1], h)

    agree(lambda: read_out(sites, x), theirs, x, *leaves)


def read_out(sites: list[Connection], x: Tensor) -> Tensor:
    """Return the output after the stack, without its last LN."""
    sites[-1].last_norm = torch.nn.Identity()
    streams = sites[0].enter(x)
    for one in sites:
        streams = one(streams, branch)
    return sites[-1].leave(streams)
