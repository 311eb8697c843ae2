"""MimicNorm in a ResNet: centred weights, scaled branches, normalised logits."""

import pytest
import torch

from skipln import norms, skips
from skipln.engine.loop import after_step
from skipln.models.resnet import ResNet, ResNetShape


def net(block: str = "basic", activation: str = "post", form: str = "rskip_ln", **options: object) -> ResNet:
    torch.manual_seed(0)
    norm = norms.create("mimic", **options)
    shape = ResNetShape([2, 1], 8, block, activation, norm="none", head_norm="batch")
    return ResNet(shape, 3, 5, lambda dim, place: skips.create(form, dim, layout="nchw", place=place, norm=norm))


def means(built: ResNet) -> dict[str, torch.Tensor]:
    """Return the mean weight of each output channel, grouped by the fan-in of its convolution."""
    found = [(m.weight[0].numel(), m.weight.mean((1, 2, 3))) for m in built.modules() if isinstance(m, torch.nn.Conv2d)]
    return {
        "centred": torch.cat([mean for fan_in, mean in found if fan_in > 50]),
        "others": torch.cat([mean for fan_in, mean in found if fan_in <= 50]),
    }


@pytest.mark.parametrize("activation", ["pre", "post"])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_weights_are_centred_at_the_start_and_after_every_step(block, activation):
    built = net(block, activation)
    linear = built.classifier.weight.detach().clone()
    optimizer = torch.optim.SGD(built.parameters(), 0.5)
    images, labels = torch.randn(6, 3, 8, 8), torch.arange(6) % 5
    for _ in range(3):
        now = means(built)
        assert now["centred"].abs().max() < 1e-7 < 1e-3 < now["others"].abs().max()
        torch.nn.functional.cross_entropy(built(images), labels).backward()
        optimizer.step()
        assert means(built)["centred"].abs().max() > 1e-5  # the optimizer's step alone does not keep them centred
        after_step(built)
        for name, parameter in built.named_parameters():
            assert parameter.grad.any() or name == "classifier.bias", name  # a norm of the logits cancels that bias
        optimizer.zero_grad()
    assert built.classifier.weight.mean(1).abs().max() > 1e-3 and not torch.equal(built.classifier.weight, linear)


@pytest.mark.parametrize(("block", "convolutions"), [("basic", 2), ("bottleneck", 3)])
def test_branches_start_scaled_by_their_depth(block, convolutions):
    scales = [branch[-1].weight.item() for branch in (b.branch for stage in net(block).stages for b in stage)]
    assert scales == pytest.approx([1.2**convolutions, 1.2**convolutions / 2, 1.2**convolutions / 3])
    scales = [branch[-1].weight.item() for branch in (b.branch for stage in net(block, base=2.0).stages for b in stage)]
    assert scales == pytest.approx([2.0**convolutions, 2.0**convolutions / 2, 2.0**convolutions / 3])


def test_a_block_follows_the_papers_formula():
    """The first block of a net computes relu(λx + s·F(x)), with its own F and s."""
    built = net(form="xskip_ln")
    block, x = built.stages[0][0], torch.randn(2, 8, 4, 4)
    *inner, scale = block.branch
    torch.testing.assert_close(block(x), torch.relu(x + scale.weight * torch.nn.Sequential(*inner)(x)))


def test_logits_are_normalised_over_the_batch():
    logits = net()(torch.randn(32, 3, 8, 8))
    torch.testing.assert_close(logits.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits.std(0, correction=0), torch.ones(5), atol=1e-2, rtol=0)


def test_the_fan_in_limit_is_an_option():
    assert means(net(fan_in=0))["others"].abs().max() < 1e-7
    assert means(net(fan_in=1000))["centred"].abs().max() > 1e-3


def test_one_norm_centres_all_weights_and_none_owns_any():
    built = net()
    holders = [m for m in built.modules() if isinstance(m, norms.registry.find("mimic").kind)]
    assert [bool(m.centred) for m in holders] == [True] + [False] * (len(holders) - 1)
    assert not any(list(m.parameters()) for m in holders)
