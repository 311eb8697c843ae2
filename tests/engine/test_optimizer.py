"""The optimizers run torch's fused kernels, and these compute what the formulas and the unfused ones do."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from skipln.configuration.schema import Adam, Sgd
from skipln.engine.update.optimizer import create_optimizer

STEPS = 4
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]
    ),
]
ADAM = Adam(name="adam", lr=0.01, betas=[0.8, 0.95], eps=1e-6, weight_decay=0.1, clip=0.0)
SGD = Sgd(name="sgd", lr=0.01, momentum=0.9, weight_decay=0.1, clip=0.0)


class Names(TorchDispatchMode):
    """Collects the names of torch's operations."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def parameters(device):
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(size, generator=generator).to(device)) for size in ((3, 5), (7,))]


def updated(optimizer, leaves):
    """Take STEPS updates with the same gradients at every call, and a rate that changes as the loop's does."""
    generator = torch.Generator().manual_seed(1)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 / (1 + step)
        for leaf in leaves:
            leaf.grad = torch.randn(leaf.shape, generator=generator).to(leaf.device)
        optimizer.step()
    return [leaf.detach() for leaf in leaves]


def by_formula(leaves):
    """Adam with L2 regularisation in float64 (Kingma and Ba 2015, algorithm 1)."""
    generator = torch.Generator().manual_seed(1)
    weights = [leaf.detach().double().cpu() for leaf in leaves]
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    for step in range(1, STEPS + 1):
        for w, m, v in zip(weights, first, second, strict=True):
            g = torch.randn(w.shape, generator=generator).double() + ADAM.weight_decay * w
            m.mul_(0.8).add_(g * 0.2)
            v.mul_(0.95).add_(g * g * 0.05)
            w -= 0.01 / step * (m / (1 - 0.8**step)) / ((v / (1 - 0.95**step)).sqrt() + ADAM.eps)
    return weights


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("config", "kernel"), [(ADAM, "_fused_adam_"), (SGD, "_fused_sgd_")], ids=["adam", "sgd"])
def test_the_fused_kernel_runs_and_equals_the_unfused(config, kernel, device):
    ours, theirs = parameters(device), parameters(device)
    optimizer = create_optimizer(config, ours)
    plain = type(optimizer)(theirs, **{**optimizer.defaults, "fused": False, "foreach": False})
    with Names() as names:
        found = updated(optimizer, ours)
    with Names() as unfused:
        expected = updated(plain, theirs)
    assert kernel in names.found and kernel not in unfused.found
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("device", DEVICES)
def test_fused_adam_is_the_papers(device):
    leaves = parameters(device)
    expected = by_formula(leaves)
    for a, b in zip(updated(create_optimizer(ADAM, leaves), leaves), expected, strict=True):
        torch.testing.assert_close(a.double().cpu(), b, rtol=1e-5, atol=1e-7)
