"""Identities between connections that hold for all inputs (shared formulas of the paper)."""

import pytest
import torch
import torch.nn.functional as F

from skipln import skips
from skipln.norms import layer_norm
from skipln.seam.connection import Place

DIM = 16


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(3, 5, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def branch() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Linear(DIM, DIM).double()


def site(name: str, **options: object) -> torch.nn.Module:
    return skips.create(name, DIM, **options).double()


def test_rskip_with_lambda_1_is_post_ln(x, branch):
    torch.testing.assert_close(site("rskip_ln", lam=1)(x, branch), F.layer_norm(x + branch(x), (DIM,)))
    torch.testing.assert_close(site("rskip_ln", lam=1)(x, branch), site("xskip_ln", lam=1.0)(x, branch))


def test_xskip_with_lambda_1_is_the_plain_skip(x, branch):
    assert torch.equal(site("xskip", lam=1.0)(x, branch), x + branch(x))
    assert torch.equal(site("xskip", lam=1.0)(x, branch), site("skip")(x, branch))


def test_pre_norm_is_the_pre_ln_transformer(x, branch):
    inner, last = (skips.create("skip", DIM, place=Place(index=i, sites=2), pre_norm=True).double() for i in range(2))
    y = inner(x, branch)
    torch.testing.assert_close(y, x + branch(F.layer_norm(x, (DIM,))))
    assert inner.leave(y) is y
    torch.testing.assert_close(last.leave(y), F.layer_norm(y, (DIM,)))


@pytest.mark.parametrize("lam", [1, 2, 3, 4, 8])
def test_rskip_without_gain_is_ln_of_a_scaled_input(x, branch, lam):
    """rSkip(λ) = LN(a_λ·x + F) with a_1 = 1, a_{k+1} = a_k + std(a_k·x + F), per token, as eps → 0."""
    tiny_eps = lambda dim, layout: torch.nn.Module.__new__(_Norm)._init(dim)  # noqa: E731
    y = skips.create("rskip_ln", DIM, lam=lam, norm=tiny_eps).double()(x, branch)
    f, a = branch(x), torch.ones(3, 5, 1, dtype=torch.float64)
    for _ in range(lam - 1):
        a = a + (a * x + f).std(-1, correction=0, keepdim=True)
    torch.testing.assert_close(y, F.layer_norm(a * x + f, (DIM,), eps=1e-14))


class _Norm(torch.nn.Module):
    """LN without gain and bias and with next to no eps."""

    def _init(self, dim: int) -> "_Norm":
        super().__init__()
        self.dim = dim
        return self

    def forward(self, x, mask=None):
        return F.layer_norm(x, (self.dim,), eps=1e-14)


@pytest.mark.parametrize(("lam", "scale"), [(1, 1.0), (2, 2.2207), (3, 4.5490), (4, 9.1516)])
def test_rskip_scale_at_unit_variance(lam, scale):
    """For uncorrelated x and F with Var x = 1 and Var F = .49: y ∝ a·x + F with a = 1, 1 + √1.49, a + √(a² + .49), …"""
    x, f = torch.randn(2, 1, 1, 100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = skips.create("rskip_ln", x.size(-1), lam=lam).double()(x, lambda _: 0.7 * f)
    on_x, on_f = torch.linalg.lstsq(torch.stack((x.flatten(), 0.7 * f.flatten()), 1), y.flatten()).solution
    assert (on_x / on_f).item() == pytest.approx(scale, rel=0.02)


@pytest.mark.parametrize("lam", [0.5, 1.0, 2.0, 3.0])
def test_gradient_through_blocks_without_branch_is_lambda_to_the_depth(x, lam):
    depth = 12
    sites = [site("xskip", lam=lam) for _ in range(depth)]
    y = x.requires_grad_()
    for s in sites:
        y = s(y, torch.zeros_like)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, lam**depth))


def test_shared_norm_has_one_set_of_parameters(x, branch):
    shared, separate = site("rskip_ln", lam=3, share_norm=True), site("rskip_ln", lam=3)
    assert sum(p.numel() for p in shared.parameters()) * 3 == sum(p.numel() for p in separate.parameters())
    torch.testing.assert_close(shared(x, branch), separate(x, branch))  # equal at the start
    torch.nn.init.uniform_(shared.norms[0].weight)
    assert not torch.allclose(shared(x, branch), separate(x, branch))


@pytest.mark.parametrize("name", ["xskip_bn", "rskip_bn"])
def test_batch_norm_counts_only_real_positions(x, branch, name):
    """Padding changes neither the output at real positions nor the running statistics."""
    padded = torch.cat((x, 1e3 * torch.ones(3, 2, DIM, dtype=x.dtype)), dim=1)
    mask = torch.arange(7).expand(3, 7) < 5
    plain, masked = site(name), site(name)
    torch.testing.assert_close(masked(padded, branch, mask)[:, :5], plain(x, branch))
    for a, b in zip(plain.buffers(), masked.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", skips.names())
def test_every_connection_keeps_the_shape_of_feature_maps_and_ln_forms_normalise_them(name):
    x = torch.randn(2, 4, 3, 3)
    one = skips.create(name, 4, layout="nchw", place=Place())
    y = one.leave(one(one.enter(x), torch.tanh))
    assert y.shape == x.shape
    if name.endswith("_ln"):
        torch.testing.assert_close(y.flatten(1).mean(1), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(y.flatten(1).var(1, correction=0), torch.ones(2), atol=1e-3, rtol=0)


def test_a_chosen_norm_replaces_ln(x, branch):
    calls = []

    def spy(dim, layout):
        norm = layer_norm(dim, layout).double()
        norm.register_forward_hook(lambda *_: calls.append(1))
        return norm

    skips.create("rskip_ln", DIM, lam=3, norm=spy)(x, branch)
    assert len(calls) == 3
    for name in ("skip", "xskip_bn"):
        with pytest.raises(ValueError, match="no norm to choose"):
            skips.create(name, DIM, norm=spy)
