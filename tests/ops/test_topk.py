"""The quick way to the largest numbers gives the very ones that torch gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skipln.ops import topk


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(1, 700), st.integers(1, 12), st.integers(0, 2**31))
def test_equals_torch(rows, columns, k, seed):
    x = torch.stack([torch.randperm(columns, generator=torch.Generator().manual_seed(seed + i)) for i in range(rows)]) \
        if rows else torch.empty(0, columns)  # fmt: skip
    values, indices = topk(x.float(), min(k, columns))
    expected = x.float().topk(min(k, columns))
    assert torch.equal(values, expected.values)
    assert torch.equal(indices, expected.indices)


@pytest.mark.parametrize("finite", [0, 1, 3])
def test_rows_of_impossible_tokens(finite):
    x = torch.full((2, 500), -torch.inf)
    x[:, 17 : 17 + finite] = torch.arange(finite, dtype=torch.float)
    values, indices = topk(x, 4)
    assert torch.equal(values, x.topk(4).values)
    assert torch.equal(x.gather(1, indices), values)


def test_equal_numbers():
    x = torch.randint(0, 3, (20, 401)).float()
    values, indices = topk(x, 7)
    assert torch.equal(values, x.topk(7).values)
    assert torch.equal(x.gather(1, indices), values)
    assert all(len(set(row)) == 7 for row in indices.tolist())
