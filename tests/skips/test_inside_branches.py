"""Connections that put norms and scales into the branches, or renormalise their matrices."""

import pytest
import torch
import torch.nn.functional as F

from skipln.engine.loop import after_step
from tests.skips.stacks import DIM, branch, norm, sites, transformer


def test_normformer_scales_heads_and_norms_inside_the_feed_forward():
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


def test_ngpt_follows_its_formula_and_keeps_the_streams_norm(x, layout):
    """The formula uses norms instead of rms, on a stream √dim times smaller."""
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


def test_ngpt_keeps_the_norms_of_matrices_along_the_streams_channels():
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
