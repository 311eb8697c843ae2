"""Connections against rezero, admin-torch, nGPT-pytorch, timm, attn-res and transformers."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from tests.parity.agreement import DIM, ROWS, TIME, Branch, agree, branch, call, leaf, site, stream

pytestmark = pytest.mark.parity


def installed(module: str, package: str = ""):
    return pytest.importorskip(module, reason=f"{package or module} is not installed (make parity)")


def test_rezeros_layer_shares_one_alpha_between_two_sites():
    theirs = installed("rezero.transformer", "rezero").RZTXEncoderLayer(DIM, 2, 32, dropout=0.0)
    given = {name: leaf(*p.shape, seed=i, spread=0.3) for i, (name, p) in enumerate(theirs.named_parameters())}
    x, alpha = leaf(TIME, ROWS, DIM), given["resweight"]

    def attend(h: Tensor) -> Tensor:
        parts = {key.removeprefix("self_attn."): value for key, value in given.items() if key.startswith("self_attn.")}
        return functional_call(theirs.self_attn, parts, (h, h, h))[0]

    def feed(h: Tensor) -> Tensor:
        first, second = ((given[f"linear{i}.weight"], given[f"linear{i}.bias"]) for i in (1, 2))
        return F.linear(torch.relu(F.linear(h, *first)), *second)

    def ours() -> Tensor:
        y = x
        for i, f in enumerate((attend, feed)):
            y = functional_call(site("rezero", i), {"alpha": alpha.squeeze()}, (y, f))
        return y

    agree(ours, lambda: call(theirs, given, x), x, *given.values())


@pytest.mark.parametrize("layers", [2, 6])
def test_admins_analytic_form(layers):
    one = site("admin", sites=2 * layers, layers=layers, omega="analytic")
    theirs = installed("admin_torch", "admin-torch").as_module(2 * layers, as_parameter=True, embed_dim=DIM)
    torch.testing.assert_close(one.omega, theirs.omega)
    x, omega = stream(), leaf(DIM, around=2.0)
    ours = lambda: functional_call(one, {"omega": omega}, (x, branch))  # noqa: E731
    agree(ours, lambda: one.norm(functional_call(theirs, {"omega": omega}, (x, branch(x)))), x, omega)


def test_ngpts_residual_on_a_stream_of_norm_one():
    """Our stream is √dim times as long, so that F reads inputs as from other connections."""
    module = installed("nGPT_pytorch.nGPT", "nGPT-pytorch").Residual(Branch(), DIM, 0.05)
    torch.testing.assert_close(site("ngpt").rate, module.branch_scale.scale)
    u, rate = stream(), nn.Parameter(leaf(DIM, around=DIM**-0.5, spread=0.05).detach())
    module.branch_scale.scale = rate  # set here, since functional_call cannot tell their modules apart

    def ours() -> Tensor:
        unit = F.normalize(u, dim=-1)
        return functional_call(site("ngpt"), {"rate": rate}, (DIM**0.5 * unit, branch)) / DIM**0.5

    module.fn.forward = lambda h: branch(DIM**0.5 * h)
    agree(ours, lambda: module(F.normalize(u, dim=-1)), u, rate)


def test_timms_layer_scale():
    theirs = installed("timm").layers.LayerScale(DIM)
    one, x, gamma = site("layer_scale"), stream(), leaf(DIM)
    ours = lambda: functional_call(one, {"gamma": gamma}, (x, branch))  # noqa: E731
    agree(ours, lambda: x + call(theirs, {"gamma": gamma}, branch(one.norm(x))), x, gamma)
    assert theirs.init_values == 1e-5 and site("layer_scale").gamma[0].item() == pytest.approx(0.1)


def test_timms_res_post_block():
    installed("timm")
    from timm.models.vision_transformer import ResPostBlock

    block = ResPostBlock(DIM, num_heads=2)
    given = {name: leaf(*p.shape, seed=i, spread=0.3) for i, (name, p) in enumerate(block.named_parameters())}
    x = stream()

    def part(name: str) -> dict[str, Tensor]:
        return {key.removeprefix(f"{name}."): value for key, value in given.items() if key.startswith(f"{name}.")}

    def ours() -> Tensor:
        y = x
        for i, (f, norm) in enumerate((("attn", "norm1"), ("mlp", "norm2"))):
            after = {f"after.{key}": value for key, value in part(norm).items()}
            one = site("res_post_ln", i)
            one.after.eps = block.norm1.eps
            y = functional_call(one, after, (y, lambda h, f=f: call(getattr(block, f), part(f), h)))
        return y

    agree(ours, lambda: call(block, given, x), x, *given.values())


@pytest.mark.parametrize("count", [1, 3])
def test_attn_res_reads_what_the_package_reads(count):
    """After the stack the package computes a plain sum, and the paper one more mean."""
    operator = installed("attn_res", "attn-res").AttnResOperator(DIM)
    sites = [site("attn_res", i, sites=count, layers=count) for i in range(count)]
    queries = [leaf(DIM, seed=10 + i) for i in range(count)]
    for one, query in zip(sites[1:], queries, strict=False):
        one.query = nn.Parameter(query.detach())
    sites[-1].last_query, sites[-1].last_norm = nn.Parameter(queries[-1].detach()), nn.Identity()
    x, leaves = stream(), [*(one.query for one in sites[1:]), sites[-1].last_query]

    def mean(sources: list[Tensor], query: Tensor) -> Tensor:
        return call(operator, {"pseudo_query": query}, torch.stack(sources))

    def theirs() -> Tensor:
        sources = [x]
        for one in sites:
            h = mean(sources, one.query) if one.query is not None else x
            sources.append(branch(one.norm(h)))
        return mean(sources, sites[-1].last_query)

    def ours() -> Tensor:
        streams = sites[0].enter(x)
        for one in sites:
            streams = one(streams, branch)
        return sites[-1].leave(streams)

    agree(ours, theirs, x, *leaves)


def test_inkling_agrees_on_normed_values():
    """Its operator differs from the paper's, but agrees on normed vectors, with a query √dim times as long."""
    module = pytest.importorskip(
        "transformers.models.inkling2.modeling_inkling2", reason="transformers is not installed (make peers)"
    )
    theirs = module.Inkling2BlockAttentionResidual(SimpleNamespace(hidden_size=DIM))
    sources = [F.rms_norm(stream(seed), (DIM,), eps=1e-12) for seed in range(3)]
    query, one = leaf(DIM), site("attn_res", 1)
    ours = lambda: one._mean(query, tuple(sources))  # noqa: E731
    blocks = torch.stack(sources[:-1], dim=-2)
    (read,) = functional_call(theirs, {"query": query * DIM**0.5}, (blocks, sources[-1]))
    torch.testing.assert_close(ours(), read, rtol=1e-5, atol=1e-5)
    doubled = functional_call(theirs, {"query": query * DIM**0.5}, (2 * blocks, 2 * sources[-1]))[0]
    torch.testing.assert_close(doubled, read, rtol=1e-4, atol=1e-4)  # it ignores the scale of its inputs


def test_gemmas_laurel_norms_its_low_rank_term():
    """Its form differs from the paper's; without that norm it is the same sum."""
    module = pytest.importorskip(
        "transformers.models.gemma3n.modeling_gemma3n", reason="transformers is not installed (make peers)"
    )
    theirs = module.Gemma3nTextLaurelBlock(SimpleNamespace(hidden_size=DIM, laurel_rank=4, rms_norm_eps=1e-6))
    x, down, up = stream(), leaf(4, DIM), leaf(DIM, 4, seed=1)
    ours = lambda: functional_call(  # noqa: E731
        site("laurel_lr", rank=4), {"down.weight": down, "up.weight": up}, (x, branch)
    )
    given = {"linear_left.weight": down, "linear_right.weight": up, "post_laurel_norm.weight": torch.ones(DIM)}
    assert not torch.allclose(ours(), branch(x) + call(theirs, given, x), atol=0.1)
    theirs.post_laurel_norm = nn.Identity()
    given.pop("post_laurel_norm.weight")
    agree(ours, lambda: branch(x) + call(theirs, given, x), x, down, up)
