import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import torchvision

from skipln import skips
from skipln.errors import UserError
from skipln.models.resnet import ResNet, ResNetShape, StridedPointwise, refusal
from skipln.models.torchvision_weights import from_torchvision
from skipln.seam.connection import Connection, Place

CIFAR = {depth: ResNetShape([(depth - 2) // 6] * 3) for depth in (20, 56, 110)}
CIFAR[164] = ResNetShape([18] * 3, block="bottleneck")
POST = {depth: ResNetShape(shape.blocks, activation="post") for depth, shape in CIFAR.items() if depth < 164}
IMAGENET = {
    18: ResNetShape([2, 2, 2, 2], 64, "basic", "post", "large"),
    50: ResNetShape([3, 4, 6, 3], 64, "bottleneck", "post", "large"),
    101: ResNetShape([3, 4, 23, 3], 64, "bottleneck", "post", "large"),
}
TINY = ResNetShape([2, 1], width=4)
SHAPES = {
    f"{block}-{activation}": ResNetShape([2, 2], 4, block, activation)
    for block in ("basic", "bottleneck")
    for activation in ("pre", "post")
}


def model(shape: ResNetShape, name: str = "skip", channels: int = 3, classes: int = 10, **options: object) -> ResNet:
    torch.manual_seed(0)
    return ResNet(
        shape, channels, classes, lambda dim, place: skips.create(name, dim, layout="nchw", place=place, **options)
    )


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("depth", "count"), [(20, 272_282), (56, 855_578), (110, 1_730_522), (164, 1_703_258)])
def test_preact_cifar_nets_have_the_published_size(depth, count):
    """He et al. 2016a, table 6: 0.27M, 0.85M, 1.7M; 2016b: ResNet-164 1.7M."""
    with torch.device("meta"):
        net = model(CIFAR[depth])
    assert parameters(net) == count
    weighted = sum(
        isinstance(m, torch.nn.Conv2d | torch.nn.Linear) for name, m in net.named_modules() if "project" not in name
    )
    assert weighted == depth


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (56, 0.85), (110, 1.7)])
def test_original_cifar_nets_have_the_published_size(depth, millions):
    with torch.device("meta"):
        assert parameters(model(POST[depth])) == pytest.approx(1e6 * millions, rel=0.025)


@pytest.mark.parametrize(("depth", "count"), [(18, 11_689_512), (50, 25_557_032), (101, 44_549_160)])
def test_imagenet_nets_have_torchvisions_size(depth, count):
    with torch.device("meta"):
        assert parameters(model(IMAGENET[depth], classes=1000)) == count


@pytest.mark.parametrize("depth", [18, 50])
def test_torchvisions_weights_give_torchvisions_logits(depth):
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(f"resnet{depth}").eval()
    for module in theirs.modules():  # make them differ, so that exchanged ones would show
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.2, 0.6)
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.normal_(tensor, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    ours = model(IMAGENET[depth], classes=1000).eval()
    ours.load_state_dict(from_torchvision(theirs.state_dict()))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-5, atol=1e-5)


def test_weights_of_another_net_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"features\.0\.weight: not a key of torchvision's ResNets"):
        from_torchvision({"features.0.weight": torch.zeros(1)})


def test_golden_logits():
    """No refactoring may change the logits of a PreAct-ResNet with fixed weights for a fixed image."""
    net = model(TINY, classes=3).double().eval()
    for i, parameter in enumerate(net.parameters()):
        parameter.data = 0.3 * torch.cos(torch.arange(parameter.numel(), dtype=torch.float64) + i).view_as(parameter)
    image = torch.sin(torch.arange(3 * 8 * 8, dtype=torch.float64)).view(1, 3, 8, 8)
    assert net(image)[0].tolist() == pytest.approx([-0.080625, -0.001378, 0.255567], abs=2e-6)


@pytest.mark.parametrize("name", skips.names())
@pytest.mark.parametrize("kind", SHAPES)
def test_every_connection_works_in_every_kind_of_block_or_is_refused(kind, name):
    if reason := refusal(skips.create(name, 4, layout="nchw", place=Place()), SHAPES[kind]):
        with pytest.raises(UserError, match=re.escape(reason)):
            model(SHAPES[kind], name, channels=1)
        return
    net = model(SHAPES[kind], name, channels=1)
    logits = net(torch.randn(3, 1, 8, 8))
    assert logits.shape == (3, 10)
    logits.sum().backward()
    for key, parameter in net.named_parameters():
        stage, block = (int(part) for part in key.split(".")[1:3]) if key.startswith("stages") else (0, 0)
        # A site's change of F's input has no effect in a block whose branch reads what the projection reads.
        project = net.stages[stage][block].project
        spared = ".site." in key and not isinstance(project, torch.nn.Identity | None)
        assert spared if parameter.grad is None else parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("kind", SHAPES)
def test_every_site_knows_its_place(kind):
    places: list[Place] = []

    def connection(dim: int, place: Place) -> Connection:
        places.append(place)
        return skips.create("skip", dim, layout="nchw", place=place)

    ResNet(replace(SHAPES[kind], blocks=[2, 3]), 3, 10, connection)
    depths = {"stage1": 2, "stage2": 3}
    assert places == [
        Place(stage, i, sites, i + 1, sites, "convolutions", depths)
        for stage, sites in depths.items()
        for i in range(sites)
    ]


class Streamed(Connection):
    """Carries (x, calls) from site to site within a stage, in the way of ResiDual and Hyper-Connections."""

    def enter(self, x):
        return x, 0

    def forward(self, stream, branch, mask=None):
        x, calls = stream
        return x + branch(x), calls + 1

    def leave(self, stream):
        x, calls = stream
        assert calls == self.place.sites
        return x


def streamed(dim: int, place: Place) -> Connection:
    return Streamed(dim, layout="nchw", place=place)


@pytest.mark.parametrize("kind", ["basic-pre", "bottleneck-pre"])
def test_a_connection_may_carry_a_stream_through_a_stage(kind):
    torch.manual_seed(0)
    net, plain = ResNet(SHAPES[kind], 3, 10, streamed).eval(), model(SHAPES[kind]).eval()
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(net(images), plain(images))


@pytest.mark.parametrize("kind", ["basic-post", "bottleneck-post"])
def test_a_stream_is_refused_if_a_relu_would_break_it(kind):
    with pytest.raises(UserError, match=r"^Streamed carries more than x .* relu between them: set model\.activation"):
        ResNet(SHAPES[kind], 3, 10, streamed)


@pytest.mark.parametrize("activation", ["pre", "post"])
def test_a_stage_is_left_once(activation):
    """The LN after a pre-LN stack belongs to the last site of each stage."""
    net = model(ResNetShape([2, 2], 4, activation=activation), pre_norm=True)
    names = [name for name, module in net.named_modules() if name.endswith("last_norm") and list(module.parameters())]
    assert names == ["stages.0.1.site.last_norm", "stages.1.1.site.last_norm"]
    calls = []
    for name in names:
        net.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
    net(torch.randn(2, 3, 8, 8))
    assert calls == names


@pytest.mark.parametrize("kind", SHAPES)
def test_a_connection_initialises_its_branch(kind):
    """It changes every convolution, after the model's own initialisation; a module put before the last one is used."""

    class Doubles(Streamed):
        def enter(self, x):
            return x

        carries_stream = False
        forward, leave = Connection.forward, Connection.leave

        def join(self, x, f, mask=None):
            return x + f

        def init_branch(self, branch):
            for i, weight in enumerate(branch.weights().values(), 1):
                weight.fill_(i)
            branch.before_output(lambda channels: torch.nn.Conv2d(channels, channels, 1))

    net = ResNet(SHAPES[kind], 3, 10, lambda dim, place: Doubles(dim, layout="nchw", place=place))
    block = net.stages[1][1]
    convolutions = [m for m in block.branch.modules() if isinstance(m, torch.nn.Conv2d)]
    *first, added, last = convolutions
    assert [int(conv.weight.mean()) for conv in [*first, last]] == list(range(1, len(first) + 2))
    assert added.kernel_size == (1, 1) and added.in_channels == last.in_channels
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    assert added.weight.grad.abs().sum() > 0


def test_nets_without_norms_but_with_one_at_the_head():
    shape = ResNetShape([1, 1], 4, norm="none", head_norm="batch")
    for kind in ("pre", "post"):
        net = model(replace(shape, activation=kind), "skip")
        norms = [type(m).__name__ for m in net.modules() if "Norm" in type(m).__name__]
        assert norms == ["BatchNorm1d"]
        images = torch.randn(8, 3, 8, 8)
        before = images.clone()
        logits = net(images)
        torch.testing.assert_close(images, before)
        torch.testing.assert_close(logits.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
        torch.testing.assert_close(logits.var(0, correction=0), torch.ones(10), atol=0.1, rtol=0)
        convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
        assert all(conv.bias is not None and not conv.bias.any() for conv in convolutions)
        logits.square().sum().backward()
    x = torch.randn(2, 4, 8, 8)  # a block must not change the stream that it reads
    stream = x.clone()
    model(replace(shape, blocks=[2]), "skip").stages[0][1](stream)
    assert torch.equal(stream, x)


def test_the_first_preact_units_follow_the_papers_appendix():
    """Unit 1 is activated before the paths split; in a unit that changes shape, both paths get the activated input."""
    net = model(ResNetShape([1, 1], 4)).eval()
    image = torch.randn(2, 3, 8, 8)
    one, two = net.stages[0][0], net.stages[1][0]
    x = F.relu(F.batch_norm(net.stem[0](image), *statistics(net.stem[1])))
    first = x + one.branch[3](F.relu(F.batch_norm(one.branch[0](x), *statistics(one.branch[1]))))
    a = F.relu(F.batch_norm(first, *statistics(two.activate[0])))
    second = two.project(a) + two.branch(a)
    last = F.relu(F.batch_norm(second, *statistics(net.last[0]))).mean((2, 3))
    torch.testing.assert_close(net(image), net.classifier(last))


def statistics(norm: torch.nn.Module) -> tuple[torch.Tensor, ...]:
    return norm.running_mean, norm.running_var, norm.weight, norm.bias


def test_a_strided_pointwise_convolution_equals_torchs():
    conv = StridedPointwise(4, 8, 1, 2, bias=False)
    x = torch.randn(2, 4, 7, 6)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, stride=2))


def test_initialisation_is_that_of_he_et_al():
    net = model(ResNetShape([1, 1], 64))
    conv = net.stages[1][0].branch[0]
    assert conv.weight.shape == (128, 64, 3, 3)
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert not net.classifier.bias.any()


def test_scaling_multiplies_the_forward_scale():
    """With λx + F and zero branches, the map after L sites of one shape is λ^L times the stem's."""
    net = model(ResNetShape([5], 4), "xskip", lam=2.0).eval()
    for block in net.stages[0]:
        torch.nn.init.zeros_(block.branch[-1].weight)
    x = net.stem(torch.randn(1, 3, 8, 8))
    torch.testing.assert_close(net.stages[0](x), 2.0**5 * x)
