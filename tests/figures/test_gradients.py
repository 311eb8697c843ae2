"""The law λ^L where theory predicts it, and the measurement of gradients itself.

y = λx + F(x) has ∂y/∂x = λ + F′(x), so the gradient through the sites of a stack is multiplied by Π(λ + F′ₗ):
exactly λ^L where F = 0, and about λ^L where a norm inside F makes F′ₗ shrink as the stream grows (F(cx) = F(x), so
F′ₗ = O(1 / rms xₗ) = O(λ^−l) for λ > 1). Behind a norm the product is of (λ + F′ₗ) / std(λx + F), and not a power of λ.
"""

import gc
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from skipln import skips
from skipln.figures.drawing import law
from skipln.figures.gradients import Pass, measure
from skipln.models.resnet import ResNet, ResNetShape
from skipln.models.transformer import FeedForward, Transformer, TransformerShape
from skipln.ops import smoothed_cross_entropy
from skipln.seam.connection import Connection
from tests.skips import IN_RESNETS

DEPTH = 8  # blocks of the ResNet's single stage, and layers of the decoder, which have three sites each


def resnet(name: str, activation: str = "pre", **options: object) -> ResNet:
    torch.manual_seed(0)
    make = lambda dim, place: skips.create(name, dim, layout="nchw", place=place, **options)  # noqa: E731
    return ResNet(ResNetShape([DEPTH], 8, activation=activation), 1, 10, make)


def transformer(name: str, **options: object) -> Transformer:
    torch.manual_seed(0)
    shape = TransformerShape(2, DEPTH, 32, 64, 4, dropout=0.0)
    return Transformer(40, shape, lambda dim, place: skips.create(name, dim, place=place, **options))


MODELS = {"resnet": resnet, "transformer": transformer}
PAIRS = [("resnet", name) for name in IN_RESNETS] + [("transformer", name) for name in skips.names()]
SILENT = ("fixup", "rezero", "skipinit")  # start as the identity, so no branch has a gradient


def passed(net: nn.Module) -> Pass:
    """Measure the sites of the ResNet's stage, or of the decoder, in a pass of random data."""
    draw = torch.Generator().manual_seed(1)
    labels = torch.randint(4, 10, (6, 9), generator=draw)
    if isinstance(net, ResNet):
        inputs, targets = (torch.randn(6, 1, 8, 8, generator=draw),), labels[:, 0]
    else:
        inputs, targets = (torch.randint(4, 40, (6, 7), generator=draw), labels), labels.flatten()
    found = measure(net, lambda n: nn.functional.cross_entropy(n(*inputs), targets))
    return Pass(found.loss, found.output, [site for site in found.sites if site.stack in ("stages.0", "decoder")])


def relative(found: Pass) -> list[float]:
    """Return the stream's gradient after each site, relative to that after the last site."""
    return [site.stream / found.sites[-1].stream for site in found.sites]


def rate(found: Pass) -> float:
    """Return the factor by which a site multiplies the gradient, as a geometric mean."""
    return relative(found)[0] ** (1 / (len(found.sites) - 1))


def silence(net: nn.Module) -> nn.Module:
    """Set F = 0 everywhere by zeroing the last weights of every branch."""
    for name, module in net.named_modules():
        if isinstance(module, FeedForward):
            nn.init.zeros_(module[-1].weight)
        elif name.endswith("attention.out"):
            nn.init.zeros_(module.weight)
        elif name.endswith(".branch"):
            nn.init.zeros_(module[-1].weight)
    return net


@pytest.mark.parametrize("lam", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("model", MODELS)
def test_the_law_is_exact_if_branches_are_zero(model, lam):
    found = passed(silence(MODELS[model]("xskip", lam=lam)))
    assert relative(found) == pytest.approx(law(lam, len(found.sites)), rel=1e-9)
    assert all(site.share == 0 for site in found.sites)
    assert [site.scale / found.sites[0].scale for site in found.sites] == pytest.approx(
        [lam**k for k in range(len(found.sites))], rel=1e-9
    )


@pytest.mark.parametrize(("lam", "tolerance"), [(2.0, 0.03), (3.0, 0.01), (10.0, 0.001)])
@pytest.mark.parametrize(("model", "options"), [("resnet", {}), ("transformer", {"pre_norm": True})])
def test_the_law_nearly_holds_if_branches_have_a_norm(model, options, lam, tolerance):
    """The stream outgrows what the branches add, so each F′ₗ is smaller by a factor λ than the one before."""
    found = passed(MODELS[model]("xskip", lam=lam, **options))
    assert rate(found) == pytest.approx(lam, rel=tolerance)
    shares = [site.share for site in found.sites]
    assert shares[-1] == pytest.approx(shares[2] * lam ** (2 - len(shares) + 1), rel=2.0)


@pytest.mark.parametrize(("lam", "depth"), [(3.0, 500), (2.0, 900), (0.5, 900)])
def test_no_square_overflows_or_vanishes(lam, depth):
    """2^900 is a float but its square is not, so the norm must scale its elements. Here x = 1 and F = 0."""

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Linear(4, 4, bias=False)
            nn.init.zeros_(self.branch.weight)
            self.sites = nn.ModuleList(skips.create("xskip", 4, lam=lam) for _ in range(depth))

        def forward(self, x):
            for site in self.sites:
                x = site(x, self.branch)
            return x

    found = measure(Deep(), lambda net: net(torch.ones(2, 4)).sum())
    powers = law(lam, depth)
    assert relative(found) == pytest.approx(powers, rel=1e-9, abs=0)
    assert [site.scale for site in found.sites] == pytest.approx([lam * p for p in powers[::-1]], rel=1e-9, abs=0)


class Types(TorchDispatchMode):
    """Records the floating-point types of all results."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[torch.dtype, str] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.numel():
                self.found.setdefault(tensor.dtype, str(func))
        return result


@pytest.mark.parametrize(
    ("model", "name", "smoothing"), [*((*pair, 0.1) for pair in PAIRS), *((model, "skip", 0.0) for model in MODELS)]
)
def test_everything_is_computed_in_float64(model, name, smoothing):
    """That includes the embeddings, the tasks' loss and all gradients."""
    net = MODELS[model](name)
    net.double()
    labels = torch.randint(4, 10, (6, 9))
    inputs = (torch.randn(6, 1, 8, 8).double(),) if model == "resnet" else (torch.randint(4, 40, (6, 7)), labels)
    targets = labels[:, 0] if model == "resnet" else labels.flatten()

    def loss(n: nn.Module) -> torch.Tensor:
        return smoothed_cross_entropy(n(*inputs), targets, smoothing)[0] / len(targets)

    with Types() as types:
        measure(net, loss)
    assert types.found.keys() == {torch.float64}, types.found


@pytest.mark.parametrize("scale", [1.0, 1e5, 1e12])
def test_the_tasks_loss_is_exact_in_float64_even_for_large_logits(scale):
    torch.manual_seed(0)
    logits, targets = (scale * torch.randn(5, 7, dtype=torch.float64)).requires_grad_(), torch.arange(5)
    total, nll = smoothed_cross_entropy(logits, targets, 0.1)
    again = logits.detach().clone().requires_grad_()
    expected = nn.functional.cross_entropy(again, targets, reduction="sum", label_smoothing=0.1)
    assert total.item() == pytest.approx(expected.item(), rel=1e-14)
    total.backward()
    expected.backward()
    assert torch.allclose(logits.grad, again.grad, rtol=0, atol=1e-14)
    assert float(nll) == pytest.approx(float(nn.functional.cross_entropy(again, targets, reduction="sum")), rel=1e-14)


@pytest.mark.parametrize("lam", [3.0, 10.0])
def test_without_any_norm_the_branches_add_to_the_law(lam):
    """Without a norm F′ does not shrink as the stream grows: ‖λ + F′‖² ≈ λ² + ‖F′‖². In this Transformer ‖F′‖² ≤ 1 at
    initialisation once attention scores are so large that the softmax is one-hot; before, their gradient adds to it."""
    found = passed(transformer("xskip", lam=lam))
    assert rate(found) >= lam
    found.sites[: len(found.sites) // 2] = []
    assert lam <= rate(found) <= math.sqrt(lam**2 + 1)


@pytest.mark.parametrize(
    ("name", "lam"),
    [("xskip_ln", 0.5), ("xskip_bn", 0.5), ("xskip_ln", 3), ("xskip_bn", 3), ("rskip_ln", 3), ("rskip_bn", 3)],
)
@pytest.mark.parametrize("model", MODELS)
def test_after_a_norm_the_gradient_does_not_follow_the_law(model, name, lam):
    found = passed(MODELS[model](name, lam=lam))
    assert abs(math.log(rate(found))) < 0.5 * abs(math.log(lam))


def test_the_last_norm_of_a_preact_net_hides_the_scale_from_logits_and_gradient():
    """The logits stay the same. At the BN after a stream of scale λ^L the gradient is λ^−L; it grows to about 1 at the
    input."""
    small, large = (passed(resnet("xskip", lam=lam)) for lam in (1.0, 10.0))
    assert large.output == pytest.approx(small.output, rel=1)
    assert large.sites[-1].scale > 1e6 * small.sites[-1].scale
    assert large.sites[-1].branch < 1e-6 * large.sites[0].branch
    original = passed(resnet("xskip", "post", lam=10.0))
    assert original.output > 1e5 * large.output


def test_every_parameter_of_a_branch_belongs_to_one_site():
    net = transformer("xskip_ln")
    found = measure(net, lambda n: n(torch.randint(4, 40, (2, 5)), torch.randint(4, 40, (2, 4))).square().mean())
    elsewhere = ("embedding", "sites")
    count = sum(p.numel() for name, p in net.named_parameters() if not any(part in name for part in elsewhere))
    assert sum(site.parameters for site in found.sites) == count  # each once: a parameter of two would count twice
    assert [site.stack for site in found.sites] == ["encoder"] * 4 + ["decoder"] * 3 * DEPTH


def test_a_pass_keeps_no_tensor():
    """Neither the gradients nor the copy of the net outlive it, even before the garbage collector looks for circles."""
    net = transformer("xskip_ln")
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(one, torch.Tensor) for one in gc.get_objects())
        kept = passed(net)
        after = sum(isinstance(one, torch.Tensor) for one in gc.get_objects())
    finally:
        gc.enable()
    assert len(kept.sites) > 1 and after == before


def test_measured_gradients_equal_those_computed_by_hand():
    """Two sites y = 2x + w·x with loss = Σy and x = (1, 2) have ∂y₂/∂y₁ = 2 + w₂ and ∂loss/∂w₁ = (2 + w₂)·Σx."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(2))
            self.sites = nn.ModuleList(skips.create("xskip", 1, lam=2.0) for _ in range(2))
            for layer, weight in zip(self.layers, (0.5, 3.0), strict=True):
                nn.init.constant_(layer.weight, weight)

        def forward(self, x):
            for site, layer in zip(self.sites, self.layers, strict=True):
                x = site(x, layer)
            return x

    first, last = measure(Two(), lambda net: net(torch.tensor([[1.0], [2.0]])).sum()).sites
    assert (first.stream, last.stream) == pytest.approx((5 * math.sqrt(2), math.sqrt(2)))
    assert (first.branch, last.branch) == pytest.approx((5 * 3, 2.5 * 3))
    assert (first.share, last.share) == pytest.approx((0.5, 3))
    assert first.scale == pytest.approx(2.5 * math.sqrt(2.5))


def test_measuring_does_not_change_the_net():
    net = resnet("rskip_bn", lam=2)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    passed(net.eval())
    assert not net.training
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


STREAMS = {  # ways in which a connection may pack (x, memory), and how to unpack them
    "tuple": (lambda x, memory: (x, memory), lambda stream: stream),
    "dict": (lambda x, memory: {"x": x, "memory": [memory]}, lambda stream: (stream["x"], stream["memory"][0])),
    "object": (lambda x, memory: SimpleNamespace(x=x, memory=memory), lambda stream: (stream.x, stream.memory)),
}


def streamed(pack, unpack) -> Pass:
    class Streamed(Connection):
        """Carries x and a memory, in the way of ResiDual and Hyper-Connections."""

        def enter(self, x):
            return pack(x, 0 * x)

        def forward(self, stream, branch, mask=None):
            x, memory = unpack(stream)
            return pack(x + branch(x), memory + x)

        def leave(self, stream):
            return sum(unpack(stream))

    torch.manual_seed(0)
    shape = TransformerShape(1, 2, 32, 64, 4, dropout=0.0)
    return passed(Transformer(40, shape, lambda dim, place: Streamed(dim, place=place)))


def test_a_stream_of_any_structure_is_measured_as_a_whole():
    found = {kind: streamed(*functions) for kind, functions in STREAMS.items()}
    sites = [[(site.stream, site.branch, site.share, site.scale) for site in one.sites] for one in found.values()]
    assert sites[0] == sites[1] == sites[2]
    assert all(value > 0 for site in sites[0] for value in site)


@pytest.mark.parametrize(("model", "name"), PAIRS)
def test_every_connection_is_measured_in_every_model(model, name):
    found = passed(MODELS[model](name))
    numbers = [value for site in found.sites for value in (site.stream, site.branch, site.share, site.scale)]
    assert len(found.sites) == (DEPTH if model == "resnet" else 3 * DEPTH)
    assert all(math.isfinite(value) for value in numbers)
    assert all(value > 0 or (value == 0 and name in SILENT) for value in numbers)
