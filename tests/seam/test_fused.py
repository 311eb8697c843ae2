"""The fused operator equals the plain form of a residual site, and is used only where it is allowed."""

import pytest
import torch
from torch import nn

from skipln import skips
from skipln.norms import LayerNorm
from skipln.ops.residual_norm import cpu
from skipln.seam import fused
from skipln.seam.connection import DroppedBranch
from tests.graph import functions

FORMS = [("xskip_ln", {"lam": 1.0}), ("xskip_ln", {"lam": 2.5}), ("rskip_ln", {"lam": 1}), ("rskip_ln", {"lam": 4}), ("rskip_ln", {"lam": 3, "share_norm": True})]  # fmt: skip # noqa: E501
SHAPES = {"btc": (4, 5, 24), "nchw": (3, 24, 4, 5)}
OPERATOR = "_EagerBackward"  # autograd's name for the operator of skipln.ops.residual_norm
MEMORY = {"btc": ("btc", torch.contiguous_format), "nchw": ("nchw", torch.contiguous_format), "channels last": ("nchw", torch.channels_last)}  # fmt: skip # noqa: E501


@pytest.fixture(autouse=True)
def always(monkeypatch) -> None:
    """Use the operator even for small tensors."""
    if cpu.library() is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setattr(fused, "SMALLEST", 0)


def in_one_pass(y) -> bool:
    """Return whether the operator made y."""
    return OPERATOR in functions(y)


def build(name, layout, options, **more):
    torch.manual_seed(0)
    site = skips.create(name, 24, layout=layout, **options, **more)
    for parameter in site.parameters():
        torch.nn.init.normal_(parameter, 1, 0.2)
    return site


def results(site, x, enabled, branch):
    x = x.clone().requires_grad_()
    with fused.one_pass(enabled):
        y = site(x, branch)
    return [y, *torch.autograd.grad(y.sin().sum(), [x, *site.parameters()])]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("layout", "memory"), MEMORY.values(), ids=MEMORY)
@pytest.mark.parametrize(("name", "options"), FORMS)
def test_the_operator_equals_the_plain_form(name, options, layout, memory, training):
    site, x = build(name, layout, options).train(training), torch.randn(SHAPES[layout]).to(memory_format=memory)
    plain = results(site, x, False, torch.tanh)
    assert not in_one_pass(plain[0])
    fast = results(site, x, True, torch.tanh)
    assert in_one_pass(fast[0]) == (options["lam"] > 1 and name == "rskip_ln")  # for one step torch is as fast
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-5)


def test_dropout_is_part_of_the_operator():
    site, x = build("xskip_ln", "btc", {"lam": 1.0}), torch.randn(SHAPES["btc"])
    branch = DroppedBranch(torch.tanh, nn.Dropout(0.4))
    torch.manual_seed(1)
    first = site(x, branch)
    assert functions(first) == {OPERATOR, "torch::autograd::AccumulateGrad"}  # no separate function for F's dropout
    torch.manual_seed(1)
    assert torch.equal(site(x, branch), first)
    assert not torch.allclose(site(x, branch), first)
    branch.dropout.eval()
    torch.testing.assert_close(site(x, branch), results(site, x, False, torch.tanh)[0])


def test_other_norms_other_types_and_norms_with_hooks_use_the_plain_form():
    x = torch.randn(SHAPES["btc"])
    counts = build("rskip_bn", "btc", {})(x, torch.tanh)
    exact = build("rskip_ln", "btc", {}).double()(x.double(), torch.tanh)
    pixels = lambda dim, layout: LayerNorm(dim, layout, axes="channel")  # noqa: E731
    maps = build("rskip_ln", "nchw", {}, norm=pixels)(torch.randn(SHAPES["nchw"]), torch.tanh)
    watched, seen = build("rskip_ln", "btc", {"lam": 2}), []
    for norm in watched.norms:
        norm.register_forward_hook(lambda *_: seen.append(1))
    steps = watched(x, torch.tanh)
    assert len(seen) == 2
    assert not any(map(in_one_pass, (counts, exact, maps, steps)))


def test_small_tensors_use_the_plain_form(monkeypatch):
    monkeypatch.setattr(fused, "SMALLEST", 10**6)
    assert not in_one_pass(build("rskip_ln", "btc", {})(torch.randn(SHAPES["btc"]), torch.tanh))


def test_on_a_gpu_feature_maps_take_torchs_operations_unless_the_kernels_are_asked_for(monkeypatch):
    gpu = torch.device("cuda")
    assert fused.timed(gpu, "btc") and fused.timed(torch.device("cpu"), "nchw") and not fused.timed(gpu, "nchw")
    monkeypatch.setattr(fused, "CHOICE", "always")
    assert fused.timed(gpu, "nchw")
