"""The gradient's norm equals exact arithmetic, and measuring it changes no gradient."""

import math
from fractions import Fraction

import pytest
import torch
from torch import nn

from skipln.configuration.composition import compose
from skipln.engine.environment import create_fabric
from skipln.engine.loop import Trainer
from skipln.engine.ranks import Ranks
from skipln.engine.update.gradients import gradient_norm
from skipln.runs.folder import RunFolder
from skipln.tasks import create_task


def with_gradients(*gradients: list[float], dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    parameters = [nn.Parameter(torch.zeros(len(values), dtype=dtype)) for values in gradients]
    for parameter, values in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(values, dtype=dtype)
    return parameters


def exact(parameters: list[nn.Parameter]) -> float:
    """Compute √Σg² in rational arithmetic, scaled so that the root is a float."""
    values = [Fraction(value) for p in parameters if p.grad is not None for value in p.grad.tolist()]
    largest = max(map(abs, values))
    return float(largest) * math.sqrt(sum((value / largest) ** 2 for value in values)) if largest else 0.0


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-19, 1.0, 1e19, 1e30, 3e38])
def test_the_norm_of_finite_gradients_is_finite_and_right(scale):
    parameters = with_gradients([0.6 * scale, -0.1 * scale], [0.3 * scale], [0.8 * scale] * 3)
    parameters.append(nn.Parameter(torch.ones(2)))  # without a gradient
    assert float(gradient_norm(parameters)) == pytest.approx(exact(parameters), rel=1e-12, abs=0)


def test_no_gradient_has_norm_0_and_a_broken_one_has_a_broken_norm():
    assert float(gradient_norm([nn.Parameter(torch.ones(2))])) == 0
    assert math.isinf(gradient_norm(with_gradients([1.0, math.inf])))
    assert math.isnan(gradient_norm(with_gradients([1.0, math.nan])))


@pytest.fixture
def trainer(tiny, tmp_path):
    def made(*overrides: str) -> Trainer:
        config = compose([*tiny, f"paths.runs={tmp_path}", *overrides])
        folder = RunFolder(config.folder)
        folder.path.mkdir(parents=True)
        fabric = create_fabric(config)
        trainer = Trainer(config, create_task(config), fabric, folder, Ranks(fabric))
        for parameter in trainer.model.parameters():
            parameter.grad = torch.full_like(parameter, 1e20)
        return trainer

    return made


def test_measuring_scales_nothing(trainer):
    """Once the norm overflowed float32 at a logged update, and finite gradients became NaN."""
    logged = trainer("training.log_every=1")
    logged.update = 1
    logged.clip()
    count = sum(p.numel() for p in logged.model.parameters())
    assert float(logged.window["grad_norm"]) == pytest.approx(1e20 * math.sqrt(count), rel=1e-6)
    assert all((p.grad == torch.tensor(1e20)).all() for p in logged.model.parameters())


def test_clipping_keeps_the_direction_of_large_gradients(trainer):
    clipped = trainer("optim.clip=0.5")
    clipped.clip()
    assert float(gradient_norm(clipped.model.parameters())) == pytest.approx(0.5, rel=1e-5)
