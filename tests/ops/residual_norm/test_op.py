"""The operator against its definition: values, gradients, memory, and its behaviour inside torch."""

import logging

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skipln.ops import scaled_residual_norm
from skipln.ops.compiled import compiled
from skipln.ops.residual_norm import cpu, op, reference
from skipln.ops.residual_norm.reference import Site

KINDS = {"float32": (torch.float32,) * 2, "mixed": (torch.float32, torch.bfloat16), "bfloat16": (torch.bfloat16,) * 2}
SHAPES = {
    "rows": ("btc", (5, 7, 96)), "odd": ("btc", (3, 53)), "one row": ("btc", (1, 40)), "one channel": ("btc", (6, 1)),
    "maps": ("nchw", (3, 5, 7, 3)), "one pixel": ("nchw", (2, 6, 1, 1)),
    "maps, channels last": ("channels last", (2, 21, 9, 8)), "few channels, last": ("channels last", (3, 5, 7, 3)),
}  # fmt: skip
SEED = torch.tensor(-1234567890123456789)


@pytest.fixture(scope="module", autouse=True)
def needs_a_compiler() -> None:
    if cpu.library() is None:
        pytest.skip("no C++ compiler here")


def make(shape, layout, kinds, weights):
    """Make inputs. The layout "channels last" is "nchw" with the channels of a pixel adjacent in memory."""
    torch.manual_seed(0)
    x, f = (torch.randn(shape) + 0.3).to(kinds[0]), (2 * torch.randn(shape)).to(kinds[1])
    if layout == "channels last":
        x, f = (t.to(memory_format=torch.channels_last) for t in (x, f))
    channels = shape[-1] if layout == "btc" else shape[1]
    gains, biases = ([shift + 0.2 * torch.randn(channels) for _ in range(weights)] for shift in (1, 0))
    return x, f, gains, biases


def named(layout):
    """Return the layout as the operator names it."""
    return "nchw" if layout == "channels last" else layout


def close(ours, theirs, kinds):
    """Compare to the last digits of the inputs' types, relative to the largest value (one channel normalises to 0)."""
    digits = 2e-2 if torch.bfloat16 in kinds else 5e-6
    assert ours.shape == theirs.shape
    scale = theirs.float().abs().amax().clamp_min(1e-3).item() if theirs.numel() else 1
    scale = max(scale, 10) if ours.shape[-1] == 1 else scale
    torch.testing.assert_close(ours.float(), theirs.float(), rtol=0, atol=digits * scale)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(("steps", "scale", "weights"), [(1, 1.0, 1), (1, 3.0, 0), (2, 1.0, 2), (4, 0.5, 1), (8, 1.0, 8), (3, 1.0, 0)])  # fmt: skip # noqa: E501
@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_cpu_kernel_equals_the_reference(shape, kinds, steps, scale, weights, dropout):
    layout, size = SHAPES[shape]
    x, f, gains, biases = make(size, layout, KINDS[kinds], weights)
    site = Site(steps, scale, 1e-5, dropout, SEED if dropout else None, named(layout))
    ours, theirs = cpu.forward(x, f, gains, biases, site), reference.forward(x, f, gains, biases, site)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        close(a, b, KINDS[kinds])
    inputs = (None, None) if steps == 1 else (x, f)
    _, kept, statistics = theirs
    gy = torch.randn_like(theirs[0])
    ours = cpu.backward(gy, *inputs, kept, statistics, gains, biases, KINDS[kinds], site, True)
    for a, b in zip(ours, reference.backward(gy, *inputs, kept, gains, biases, site), strict=True):
        close(a, b, KINDS[kinds])
        assert a.dim() < 4 or a.stride() == x.stride()


def test_one_step_equals_layer_norm_and_group_norm():
    x, f, (gain,), (bias,) = make((4, 6, 5, 5), "nchw", KINDS["float32"], 1)
    y = scaled_residual_norm(x, f, [gain], [bias], scale=2.0, layout="nchw")
    torch.testing.assert_close(y, F.group_norm(2 * x + f, 1, gain, bias))
    x, f, (gain,), (bias,) = make((4, 6), "btc", KINDS["float32"], 1)
    torch.testing.assert_close(scaled_residual_norm(x, f, [gain], [bias]), F.layer_norm(x + f, (6,), gain, bias))


def test_a_mean_far_from_zero_loses_few_digits():
    for layout, shape in (("btc", (8, 256)), ("nchw", (2, 8, 16, 16)), ("channels last", (2, 8, 16, 16))):
        for weights in (0, 2):
            x, f, gains, biases = make(shape, layout, KINDS["float32"], weights)
            site = Site(2, 1.0, 1e-5, 0.0, None, named(layout))
            y, *_ = cpu.forward(x + 300, f, gains, biases, site)
            exact, *_ = reference.forward(
                (x + 300).double(), f.double(), [g.double() for g in gains], [b.double() for b in biases], site
            )
            torch.testing.assert_close(y.double(), exact, atol=3e-4, rtol=0)


def test_inputs_need_not_be_contiguous():
    x, f, gains, biases = make((6, 5, 40), "btc", KINDS["float32"], 2)
    y = scaled_residual_norm(x.transpose(0, 1), f.transpose(0, 1), gains, biases, steps=2)
    torch.testing.assert_close(y.transpose(0, 1), scaled_residual_norm(x, f, gains, biases, steps=2))


def test_maps_may_differ_in_memory_format_and_the_output_has_that_of_x():
    x, f, gains, biases = make((3, 6, 5, 4), "channels last", KINDS["float32"], 2)
    y = scaled_residual_norm(x, f.contiguous(), gains, biases, steps=2, layout="nchw")
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, scaled_residual_norm(x.contiguous(), f, gains, biases, steps=2, layout="nchw"))


@pytest.mark.parametrize("layout", ["btc", "nchw", "channels last"])
def test_every_number_of_threads_gives_the_same_bits(layout):
    shape = (70, 33) if layout == "btc" else (9, 4, 5, 5)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            x, f, gains, biases = make(shape, layout, KINDS["float32"], 3)
            leaves = [t.requires_grad_() for t in (x, f, *gains, *biases)]
            y = scaled_residual_norm(x, f, gains, biases, steps=3, layout=named(layout))
            results.append([y, *torch.autograd.grad(y.sin().sum(), leaves)])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


def test_dropout_is_bernoulli_and_seeded():
    f = torch.ones(1000, 1000)
    kept = reference.dropped(f, Site(1, 1.0, 1e-5, 0.3, SEED, "btc"))
    assert (kept == 0).float().mean().item() == pytest.approx(0.3, abs=2e-3)
    assert kept.mean().item() == pytest.approx(1, abs=5e-3)
    other = reference.dropped(f, Site(1, 1.0, 1e-5, 0.3, SEED + 1, "btc"))
    for a, b in ((kept, other), (kept[1:], kept[:-1]), (kept[:, 1:], kept[:, :-1])):  # seeds, rows, columns
        assert torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1].abs() < 5e-3
    torch.manual_seed(5)
    first = scaled_residual_norm(f, f, dropout=0.5)
    assert not torch.equal(scaled_residual_norm(f, f, dropout=0.5), first)
    torch.manual_seed(5)
    assert torch.equal(scaled_residual_norm(f, f, dropout=0.5), first)


@pytest.mark.parametrize(("steps", "scale", "dropout"), [(1, 1.0, 0.0), (1, 2.0, 0.4), (3, 1.0, 0.4)])
@pytest.mark.parametrize("layout", ["btc", "nchw"])
def test_gradients_of_first_and_second_order(layout, steps, scale, dropout):
    """In float64 the reference computes them."""
    shape = (3, 5) if layout == "btc" else (2, 3, 2, 2)
    x, f, gains, biases = make(shape, layout, (torch.float64,) * 2, steps)
    leaves = [t.double().requires_grad_() for t in (x, f, *gains, *biases)]

    def run(x, f, *weights):
        torch.manual_seed(1)
        return scaled_residual_norm(
            x, f, weights[:steps], weights[steps:], steps=steps, scale=scale, dropout=dropout, layout=layout
        )

    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, leaves, fast_mode=True)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])  # the kernel's type and the reference's
@pytest.mark.parametrize("layout", ["btc", "nchw", "channels last"])
def test_the_operators_keep_torchs_contract(layout, kind, steps):
    x, f, gains, biases = make((4, 6) if layout == "btc" else (2, 3, 4, 4), layout, (kind, kind), steps)
    leaves = [t.requires_grad_() for t in (x, f, *gains, *biases)]
    weights = leaves[2 : 2 + steps], leaves[2 + steps :]
    site = (steps, 1.0, 1e-5, 0.0, None, named(layout))
    torch.library.opcheck(op.forward_op, (x, f, *weights, *site))
    with torch.no_grad():
        y, kept, statistics = op.forward_op(x, f, *weights, *site)
    inputs = (None, None) if steps == 1 else (x.detach(), f.detach())
    plain = [[w.detach() for w in group] for group in weights]
    torch.library.opcheck(op.backward_op, (y, *inputs, kept, statistics, *plain, y.dtype, y.dtype, *site))


@pytest.mark.parametrize(("steps", "most"), [(1, 1), (2, 2), (4, 2), (8, 2)])
def test_the_backward_pass_needs_two_activations_at_any_lambda_and_one_at_one(steps, most):
    x, f, gains, biases = make((64, 128), "btc", KINDS["float32"], steps)
    leaves = [t.requires_grad_() for t in (x, f, *gains, *biases)]
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.data_ptr(), t), lambda t: t):
        scaled_residual_norm(x, f, leaves[2 : 2 + steps], leaves[2 + steps :], steps=steps, dropout=0.1)
    small = 2 * 64 * steps + 2 * steps * 128 + 1  # two numbers per row and step, the weights, the seed
    assert sum(t.numel() for t in kept.values()) <= most * x.numel() + small


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 32)
        self.gains, self.biases = (nn.ParameterList(torch.full((32,), v) for _ in range(2)) for v in (1.0, 0.0))

    def forward(self, x):
        return scaled_residual_norm(x, self.linear(x), list(self.gains), list(self.biases), steps=2)


def test_the_operator_works_under_autocast():
    x, block = torch.randn(4, 32), Block()
    with torch.autocast("cpu", torch.bfloat16):
        y = block(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, block(x), atol=3e-2, rtol=0)
    y.sum().backward()
    assert block.linear.weight.grad.dtype == torch.float32


def test_the_operator_works_under_compile_without_a_graph_break():
    x, block = torch.randn(4, 32), Block()
    traced = torch.compile(block, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(traced(x), block(x))
    for a, b in zip(
        *(torch.autograd.grad(m(x).sin().sum(), list(block.parameters())) for m in (traced, block)), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_the_operator_works_under_ddp(tmp_path):
    torch.distributed.init_process_group("gloo", f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        x, block = torch.randn(4, 32), Block()
        expected = torch.autograd.grad(block(x).sin().sum(), list(block.parameters()))
        nn.parallel.DistributedDataParallel(block)(x).sin().sum().backward()
        for parameter, gradient in zip(block.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
    finally:
        torch.distributed.destroy_process_group()


def test_without_a_compiler_the_reference_runs_and_one_line_says_so(monkeypatch, caplog):
    x, f, gains, biases = make((3, 53), "btc", KINDS["float32"], 2)
    expected = scaled_residual_norm(x, f, gains, biases, steps=2)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    compiled.cache_clear()
    try:
        with caplog.at_level(logging.INFO):
            for _ in range(2):
                torch.testing.assert_close(scaled_residual_norm(x, f, gains, biases, steps=2), expected)
        assert [r.message for r in caplog.records] == ["no C++ compiler: residual_norm uses its plain form"]
        assert not op.fused(x, f, "btc")
    finally:
        compiled.cache_clear()


def test_mistakes_raise_errors_with_the_reason():
    x = torch.randn(3, 4)
    with pytest.raises(ValueError, match="must have the same shape"):
        scaled_residual_norm(x, x[:2])
    with pytest.raises(ValueError, match="one for each of the 3 steps"):
        scaled_residual_norm(x, x, [x[0]] * 2, [x[0]] * 2, steps=3)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("shape", "layout"), [((0, 64), "btc"), ((2, 0, 64), "btc"), ((0, 64, 4, 4), "nchw")])
def test_an_empty_batch_is_empty_and_moves_no_weight(steps, dtype, shape, layout):
    x, f = (torch.empty(shape, dtype=dtype, requires_grad=True) for _ in range(2))
    gains, biases = ([torch.full((64,), value, requires_grad=True) for _ in range(steps)] for value in (1.0, 0.0))
    y = scaled_residual_norm(x, f, gains, biases, steps=steps, dropout=0.1, layout=layout)
    y.sum().backward()
    assert y.shape == x.grad.shape == f.grad.shape == torch.Size(shape)
    assert all(weight.grad.eq(0).all() for weight in [*gains, *biases])
