"""Beam attention, by the kernel or by gathering, lets each row attend to its own history."""

import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.ops.beam_attention import SOURCE, beam_attention, plain_beam_attention
from skipln.ops.compiled import compiled

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float64: 1e-12}
SIZES = {  # rows, lists, longest list, entries, heads, channels of a head
    "as a model": (10, 10, 7, 12, 4, 32), "a source": (10, 2, 40, 60, 2, 64), "odd": (5, 5, 3, 6, 3, 7),
    "one row": (1, 1, 9, 3, 2, 8), "one step": (4, 2, 1, 4, 1, 40), "one channel": (3, 3, 4, 5, 2, 1),
}  # fmt: skip


def inputs(rows: int, lists: int, longest: int, count: int, heads: int, depth: int, kind: torch.dtype) -> tuple:
    torch.manual_seed(0)
    queries, cache = torch.randn(rows, heads * depth), torch.randn(count, 2 * heads * depth)
    lengths = torch.randint(1, longest + 1, (lists,))
    return queries.to(kind), cache.to(kind), torch.randint(count, (lists, longest + 2)), lengths


def row_by_row(queries: Tensor, cache: Tensor, entries: Tensor, lengths: Tensor, heads: int) -> Tensor:
    """Compute the definition, one row after the other."""
    rows = []
    for r, query in enumerate(queries.double()):
        i = r * len(lengths) // len(queries)
        history = cache[entries[i, : lengths[i]]].double()
        keys, values = (half.unflatten(-1, (heads, -1)).transpose(0, 1) for half in history.chunk(2, -1))
        rows.append(F.scaled_dot_product_attention(query.unflatten(-1, (heads, 1, -1)), keys, values).flatten())
    return torch.stack(rows).to(queries.dtype)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("size", SIZES)
def test_each_row_attends_to_its_ancestors(size: str, kind: torch.dtype, gradients: bool) -> None:
    given = inputs(*SIZES[size], kind)
    heads = SIZES[size][4]
    with torch.set_grad_enabled(gradients):
        found = beam_attention(*given, heads)
    tolerance = TOLERANCE[kind]
    torch.testing.assert_close(found, row_by_row(*given, heads), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_kernel_is_used_if_no_gradient_is_needed(kind: torch.dtype, monkeypatch) -> None:
    if compiled(SOURCE) is None:
        pytest.skip("no C++ compiler here")
    given = inputs(*SIZES["odd"], kind)
    expected = plain_beam_attention(*given, 3)
    monkeypatch.setattr(sys.modules[plain_beam_attention.__module__], "plain_beam_attention", None)
    with torch.no_grad():
        found = beam_attention(*given, 3)
    torch.testing.assert_close(found, expected, rtol=TOLERANCE[kind], atol=TOLERANCE[kind])
    with pytest.raises(TypeError):
        beam_attention(*given, 3)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_strides_change_nothing(threads: int) -> None:
    queries, cache, entries, lengths = inputs(*SIZES["as a model"], torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            found = beam_attention(queries.T.contiguous().T, cache, entries.T.contiguous().T, lengths, 4)
            torch.testing.assert_close(found, plain_beam_attention(queries, cache, entries, lengths, 4))
    finally:
        torch.set_num_threads(before)


def test_gradients() -> None:
    queries, cache, entries, lengths = inputs(*SIZES["odd"], torch.float64)
    leaves = queries.requires_grad_(), cache.requires_grad_()
    assert torch.autograd.gradcheck(lambda q, c: beam_attention(q, c, entries, lengths, 3), leaves)


def test_without_a_compiler_the_plain_form_is_used(monkeypatch) -> None:
    given = inputs(*SIZES["odd"], torch.float32)
    expected = plain_beam_attention(*given, 3)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    compiled.cache_clear()
    try:
        with torch.no_grad():
            assert torch.equal(beam_attention(*given, 3), expected)
    finally:
        compiled.cache_clear()
