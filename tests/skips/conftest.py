"""Both layouts, and a tensor of each."""

import pytest
import torch

from tests.skips.stacks import SHAPES


@pytest.fixture(params=SHAPES)
def layout(request) -> str:
    return request.param


@pytest.fixture
def x(layout) -> torch.Tensor:
    return torch.randn(SHAPES[layout], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
