"""Attacks against a plain loop in float64, the gradient at the seam, and evaluations of two finished runs."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from skipln import skips
from skipln.configuration.composition import compose
from skipln.engine.run import execute
from skipln.errors import UserError
from skipln.models.resnet import ResNet, ResNetShape
from skipln.seam.gradient import branch_gradients
from skipln.tasks.attacks import attack
from skipln.tasks.connections import connections_of

PUBLISHED = {"epsilon": 16 / 255, "step": 2 / 255, "steps": 10}


def net(skip: str = "skip", blocks: tuple[int, ...] = (2, 2), **shape) -> ResNet:
    torch.manual_seed(0)
    return ResNet(
        ResNetShape(blocks, 4, **shape), 1, 5, connections_of({"name": skip}, {"name": "layer"}, "nchw")
    ).eval()


def examples(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, 8, 8, generator=draw), torch.arange(count) % 5


@pytest.mark.parametrize("decay", [None, 1.0, 0.5])
def test_the_attack_equals_a_plain_loop_in_float64(decay):
    """The loop treats each image alone, with its own momentum, and clips every pixel."""
    model, (images, labels) = net().double(), examples()
    images = images.double()
    found = attack(images, labels, model, **PUBLISHED, decay=decay)
    for image, label, ours in zip(images, labels, found, strict=True):
        x, g = image.clone(), torch.zeros_like(image)
        for _ in range(10):
            at = x.clone().requires_grad_()
            logits = model(at[None])[0]
            (torch.logsumexp(logits, 0) - logits[label]).backward()
            g = at.grad if decay is None else decay * g + at.grad / at.grad.abs().mean()
            x = x + 2 / 255 * torch.sign(g)
            x = torch.minimum(torch.maximum(x, image - 16 / 255), image + 16 / 255)
            x = torch.minimum(torch.maximum(x, torch.zeros_like(x)), torch.ones_like(x))
        torch.testing.assert_close(ours, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay", [None, 1.0])
def test_attacked_images_are_close_valid_and_raise_the_loss(decay):
    model, (images, labels) = net(), examples()
    found = attack(images, labels, model, **PUBLISHED, decay=decay)
    assert float((found - images).abs().max()) <= 16 / 255 + 1e-6
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    before, after = (nn.functional.cross_entropy(model(x), labels) for x in (images, found))
    assert after > before + 0.01
    assert all(p.grad is None for p in model.parameters())


def test_a_gradient_of_0_changes_no_pixel():
    images, labels = examples()
    found = attack(images, labels, lambda x: (x * 0).sum((1, 2, 3))[:, None].expand(-1, 5), **PUBLISHED, decay=1.0)
    assert torch.equal(found, images)


@pytest.mark.parametrize("skip", ["skip", "xskip", "rskip_ln", "hyper_connections"])
def test_gamma_1_gives_the_plain_gradient_and_no_gamma_changes_the_output(skip):
    model, (images, _) = net(skip, blocks=(3,)), examples(2)
    at = images.clone().requires_grad_()
    plain = model(at)
    (gradient,) = torch.autograd.grad(plain.square().sum(), at)
    with branch_gradients(model, 1.0):
        same = model(at)
        assert torch.equal(torch.autograd.grad(same.square().sum(), at)[0], gradient)
    with branch_gradients(model, 0.2):
        scaled = model(at)
        assert torch.equal(scaled, plain)
        assert not torch.allclose(torch.autograd.grad(scaled.square().sum(), at)[0], gradient)
    assert torch.equal(torch.autograd.grad(model(at).square().sum(), at)[0], gradient)  # gamma is reset


def test_gamma_scales_the_gradient_through_all_branches_but_the_first():
    """For two sites, ∂y/∂x = (1 + γw₂)(1 + w₁): the first site of the stack is left alone."""
    stack = nn.ModuleList(skips.create("skip", 1, layout="btc", place=place(i)) for i in range(3))
    weights = (0.5, -2.0, 3.0)

    def through(x: torch.Tensor) -> torch.Tensor:
        for site, weight in zip(stack, weights, strict=True):
            x = site(x, lambda h, w=weight: w * h)
        return x

    x = torch.ones(1, 1, 1, requires_grad=True)
    with branch_gradients(stack, 0.2):
        (gradient,) = torch.autograd.grad(through(x), x)
    assert gradient.item() == pytest.approx((1 + 0.5) * (1 + 0.2 * -2.0) * (1 + 0.2 * 3.0))


def place(index: int):
    from skipln.seam.place import Place

    return Place("stage1", index, 3, index + 1, 3, "convolutions")


@pytest.mark.parity
@pytest.mark.skipif(find_spec("torchattacks") is None, reason="needs torchattacks: pip install '.[attacks]'")
@pytest.mark.parametrize("decay", [None, 1.0])
def test_attacks_equal_those_of_torchattacks(decay):
    import torchattacks

    model, (images, labels) = net(), examples(8)
    options = {"eps": 16 / 255, "alpha": 2 / 255, "steps": 10}
    theirs = (
        torchattacks.PGD(model, **options, random_start=False)
        if decay is None
        else torchattacks.MIFGSM(model, **options, decay=decay)
    )
    ours = attack(images, labels, model, **PUBLISHED, decay=decay)
    torch.testing.assert_close(theirs(images, labels), ours, rtol=0, atol=1e-6)


@pytest.mark.parity
@pytest.mark.skipif(find_spec("art") is None, reason="needs adversarial-robustness-toolbox: pip install '.[attacks]'")
@pytest.mark.parametrize("decay", [None, 1.0])
def test_attacks_equal_those_of_the_adversarial_robustness_toolbox(decay):
    from art.attacks.evasion import MomentumIterativeMethod, ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    model, (images, labels) = net(), examples(8)
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 8, 8), 5, clip_values=(0.0, 1.0), device_type="cpu"
    )
    options = {"eps": 16 / 255, "eps_step": 2 / 255, "max_iter": 10, "verbose": False}
    theirs = (
        ProjectedGradientDescentPyTorch(classifier, **options, num_random_init=0)
        if decay is None
        else MomentumIterativeMethod(classifier, **options, decay=decay)
    )
    ours = attack(images, labels, model, **PUBLISHED, decay=decay)
    np.testing.assert_allclose(theirs.generate(images.numpy(), labels.numpy()), ours.numpy(), rtol=0, atol=1e-6)


TINY = (
    "task=classification",
    "scale=test",
    "recipe=classification_test",
    "model.blocks=[2,2,2]",
    "compute.accelerator=cpu",
    "compute.threads=1",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return (a function that makes a configuration, two finished runs); both classify some images correctly."""
    folder = tmp_path_factory.mktemp("runs")

    def run(*overrides):
        return compose([*TINY, f"paths.runs={folder}", *overrides])

    found = [run("skip=skip"), run("skip=rskip_ln")]
    assert [execute(config) for config in found] == ["done", "done"]
    return run, found


def result(config) -> dict:
    return json.loads((config.folder / "result.json").read_text())


def attacked(run, source, target, *overrides):
    return run("skip=skip", "task=transfer_attack", f"inputs=[{source.hash},{target.hash}]", *overrides)


def test_the_evaluation_of_two_runs(runs):
    run, (source, target) = runs
    shown = attacked(run, source, target, "task.test_images=100", "task.gamma=0.5")
    own = attacked(run, source, source, "task.test_images=100", "task.gamma=0.5")
    assert [execute(config) for config in (shown, own)] == ["done", "done"]
    for config in (shown, own):
        found, statistics = result(config), np.load(config.folder / "examples.npy")
        assert statistics.shape == (100, 2)
        counted, fooled = statistics.sum(0)
        assert 0 < counted < 100  # images that both nets classify correctly
        assert found["metrics"] == {"success": pytest.approx(100 * fooled / counted)}
        assert found["data"]["test_examples"] == 100
        assert found["parameters"] == result(source)["parameters"]
    assert result(own)["metrics"]["success"] > result(shown)["metrics"]["success"] > 0
    assert result(shown)["message"] == f"attacks {source.hash}, shown to {target.hash}"


@pytest.mark.parametrize("option", ["method=mi_fgsm", "gamma=0.2", "epsilon=32", "step=1", "steps=5"])
def test_every_option_changes_the_images(runs, option):
    run, (source, target) = runs
    base, changed = (attacked(run, source, target, *more) for more in ((), (f"task.{option}",)))
    assert [execute(config) for config in (base, changed)] == ["done", "done"]
    first, second = (np.load(config.folder / "examples.npy") for config in (base, changed))
    assert not np.array_equal(first, second)


def test_an_attack_with_a_diverged_run_is_diverged(runs):
    run, (source, _) = runs
    lost = run("skip=skip", "optim.lr=1e30", "schedule=constant")
    assert execute(lost) == "diverged"
    config = attacked(run, source, lost)
    assert execute(config) == "diverged"
    assert f"shown to {lost.hash}; {lost.hash} diverged: training loss" in result(config)["message"]
    assert result(config)["metrics"] == {}


def test_impossible_attacks_are_one_line(runs, tiny, tmp_path_factory):
    run, (source, target) = runs
    with pytest.raises(UserError, match=r"trains nothing: give two finished runs as inputs=\[SOURCE,TARGET\]"):
        run("task=transfer_attack")
    with pytest.raises(UserError, match=r"task\.gamma=0\.5 would change nothing: it does not apply to the first block"):
        attacked(run, source, target, "task.gamma=0.5", "model.blocks=[1,1,1]")
    with pytest.raises(UserError, match=f"inputs: {target.hash} is another run; an attack differs from its source in"):
        execute(attacked(run, target, source))
    other = run("skip=skip", "data.valid=100")
    assert execute(other) == "done"
    with pytest.raises(UserError, match=f"inputs: {other.hash} has other data than {source.hash}"):
        execute(attacked(run, source, other))
    text = compose([*tiny, f"paths.runs={source.paths.runs}"])
    assert execute(text) == "done"
    with pytest.raises(UserError, match=f"inputs: {text.hash} is a run of task=translation, not of classification"):
        execute(attacked(run, source, text))
