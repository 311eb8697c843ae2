"""Batch norm by the kernel is the formula, with its gradients and running statistics, with a relu and without."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.norms import BatchNorm, BatchNormRelu
from skipln.ops import batch_norm
from skipln.ops.batch_norm import SOURCE
from skipln.ops.compiled import cpu_kernel
from tests.graph import functions

SHAPES = [(5, 3), (700, 37), (2, 3, 2, 2), (3, 8, 7, 9), (4, 16, 31, 33), (2, 21, 40, 40), (3, 64, 9, 8)]
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def _kernel() -> None:
    if cpu_kernel(SOURCE, torch.float32) is None:
        pytest.skip("no C++ compiler here")


def leaves(shape: tuple[int, ...], kind: torch.dtype) -> list[Tensor]:
    """x, far from 0 in every channel by another distance, gain and bias."""
    torch.manual_seed(0)
    channels = shape[1]
    away = torch.linspace(-3, 3, channels).view(-1, *[1] * (len(shape) - 2))
    x = (torch.randn(shape) + away).to(kind)
    x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
    return [t.requires_grad_() for t in (x, torch.rand(channels) + 0.5, torch.randn(channels))]


def kernel(x: Tensor, gain: Tensor, bias: Tensor, relu: bool) -> Tensor:
    running = torch.zeros_like(gain), torch.ones_like(gain)
    return batch_norm(x, *running, gain, bias, training=True, momentum=0.1, eps=1e-5, relu=relu)


def formula(x: Tensor, gain: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """In float64, from the definition."""
    x, gain, bias = (t.double() for t in (x, gain, bias))
    others = [d for d in range(x.dim()) if d != 1]
    form = (-1, *[1] * (x.dim() - 2))
    away = x - x.mean(others, keepdim=True)
    y = away / (away.square().mean(others, keepdim=True) + 1e-5).sqrt() * gain.view(form) + bias.view(form)
    return y.clamp(min=0) if relu else y


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_formula_and_so_are_its_gradients(shape: tuple[int, ...], kind: torch.dtype, relu: bool) -> None:
    found = []
    for function in (kernel, formula):
        given = leaves(shape, kind)
        y = function(*given, relu)
        weights = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(kind).to(y.dtype)
        found.append([y, *torch.autograd.grad(y, given, weights)])
    assert "_BatchNormBackward" in functions(kernel(*leaves(shape, kind), relu))
    for i, (ours, exact) in enumerate(zip(*found, strict=True)):
        scale = float(exact.detach().abs().max())
        near = TOLERANCE[kind] if i < 2 else 1e-5 if kind == torch.float32 else 2e-3  # gain and bias are in float32
        torch.testing.assert_close(ours.double(), exact.double(), rtol=near, atol=near * scale)
        assert i > 1 or ours.dtype == kind


@pytest.mark.parametrize("kind", TOLERANCE)
def test_running_statistics_are_torchs(kind: torch.dtype) -> None:
    ours, theirs = BatchNormRelu(8, "nchw"), nn.BatchNorm2d(8)
    for _ in range(3):
        (x, *_) = leaves((3, 8, 7, 9), kind)
        torch.testing.assert_close(ours(x), theirs(x).relu(), rtol=TOLERANCE[kind], atol=TOLERANCE[kind])
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x).relu())


def test_far_from_zero_the_variance_keeps_its_digits() -> None:
    """As a difference of two large sums it would have none."""
    x = (1e4 + torch.randn(64, 16, 16, 16)).contiguous(memory_format=torch.channels_last)
    y = kernel(x, torch.ones(16), torch.zeros(16), False)
    torch.testing.assert_close(y.double(), formula(x, torch.ones(16), torch.zeros(16), False), rtol=0, atol=2e-3)


def test_the_bits_do_not_depend_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        given = leaves((4, 16, 31, 33), torch.float32)
        y = kernel(*given, True)
        found.append([y, *torch.autograd.grad(y, given, y.detach().roll(1, 0))])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_what_is_not_a_number_stays_seen_through_the_relu() -> None:
    given = leaves((4, 16, 3, 3), torch.float32)
    with torch.no_grad():
        given[0][1, 5, 2, 2] = torch.nan
    y = kernel(*given, True)
    assert y[:, 5].isnan().all() and not y[:, :5].isnan().any()
    assert torch.autograd.grad(y.sum(), given[0])[0][:, 5].isnan().all()


def test_a_gradient_of_the_gradient_is_torchs() -> None:
    found = []
    for function in (kernel, formula):
        given = leaves((3, 8, 7, 9), torch.float32)
        (first,) = torch.autograd.grad(function(*given, True).square().sum(), given[:1], create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), given))
    for ours, exact in zip(*found, strict=True):
        torch.testing.assert_close(ours, exact.float(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("how", ["channels first", "evaluation", "float64"])
def test_elsewhere_torchs_own_is_taken(how: str) -> None:
    x, *_ = leaves((3, 8, 7, 9), torch.float64 if how == "float64" else torch.float32)
    norm = BatchNorm(8, "nchw").to(x.dtype).train(how != "evaluation")
    y = norm(x.contiguous() if how == "channels first" else x)
    assert "_BatchNormBackward" not in functions(y)
    torch.testing.assert_close(y, F.batch_norm(x, *[torch.zeros(8, dtype=x.dtype), torch.ones(8, dtype=x.dtype)],
                                               norm.weight, norm.bias, norm.training))  # fmt: skip
