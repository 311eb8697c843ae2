"""Measure one net, at the start and after training, and keep the measurement in a file."""

import math
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from skipln.configuration.schema import RunConfig
from skipln.engine.checkpoint import Checkpoints
from skipln.engine.environment import arithmetic, create_fabric, describe
from skipln.engine.loop import Trainer
from skipln.engine.ranks import Ranks
from skipln.errors import UserError
from skipln.figures.gradients import QUANTITIES, Pass, measure
from skipln.figures.points import Point
from skipln.models.transformer import Transformer
from skipln.ops.cross_entropy import smoothed_cross_entropy
from skipln.runs.folder import RunFolder
from skipln.system.files import atomic_write
from skipln.tasks import Task, create_task

State = Literal["start", "trained"]


class Measured(BaseModel):
    """A net in one state. Lists run over the measured batches; a number that is not finite is None.

    sites: indexed by quantity, then batch, then site.
    """

    model_config = ConfigDict(extra="forbid")

    loss: list[float | None]
    output: list[float | None]
    sites: dict[str, list[list[float | None]]]


class Measurement(BaseModel):
    """What is known about a net. stacks: one name per site. states: "trained" is missing if the training diverged."""

    model_config = ConfigDict(extra="forbid")

    hash: str
    data: str
    stacks: list[str]
    states: dict[State, Measured]
    message: str
    environment: dict[str, Any]


def read(point: Point) -> Measurement | None:
    """The kept measurement of `point`; None if there is none or it is damaged."""
    try:
        found = Measurement.model_validate_json(point.path.read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.hash == point.config.hash else None


def make(point: Point) -> None:
    """Build the net and measure it; then train it, or load the weights that its finished run was tested with, and
    measure it again. Only the numbers are kept.

    Raises UserError if the data or the finished run is missing, and KeyboardInterrupt if the training was interrupted.
    """
    config = point.config
    task, fabric = create_task(config), create_fabric(config)
    with TemporaryDirectory() as folder:
        trainer = Trainer(config, task, fabric, RunFolder(Path(folder)), Ranks(fabric))
        passes = {"start": _passes(trainer.model, task, fabric, point.batches)}
        state, message = trainer.fit() if point.run is None else _load(trainer.model, point.run, config)
        if state == "interrupted":
            raise KeyboardInterrupt
        if state == "done":
            passes["trained"] = _passes(trainer.model, task, fabric, point.batches)
    data = task.describe()
    content = {
        "hash": config.hash,
        "data": f"{data.name}, fingerprint {data.fingerprint}",
        "stacks": [site.stack for site in passes["start"][0].sites],
        "states": {state: _measured(found) for state, found in passes.items()},
        "message": message,
        "environment": {**describe(fabric.device), **arithmetic(config)},
    }
    with atomic_write(point.path, "w") as file:
        file.write(Measurement.model_validate(content).model_dump_json())


def _load(model: nn.Module, folder: Path, config: RunConfig) -> tuple[str, str]:
    """Load the weights that the run in `folder` was tested with into `model`; return how the run ended."""
    result = RunFolder(folder).finished()
    if result is None:
        raise UserError(f"{folder} has no result; make its table first")
    if result.state == "done":
        checkpoints = Checkpoints(RunFolder(folder).checkpoints, config.hash, keep=config.training.average)
        model.load_state_dict(checkpoints.load_tested(result.update))
    return result.state, result.message


def _passes(model: nn.Module, task: Task, fabric: Fabric, count: int) -> list[Pass]:
    """Measure the first `count` micro-batches of the training data, which are the same for every net of a seed."""
    batches = task.epoch(0)
    found = []
    for i in range(count):
        torch.manual_seed(i)  # augmentation and dropout
        found.append(measure(model, partial(_mean_loss, task, fabric.to_device(batches[i % len(batches)]))))
    return found


def _mean_loss(task: Task, batch: Any, net: nn.Module) -> Tensor:
    return task.loss(_ByLogits(net) if isinstance(net, Transformer) else net, batch).total / task.units(batch)


class _ByLogits(nn.Module):
    """A Transformer that computes its loss from its logits, so that they are its output and not the loss."""

    def __init__(self, net: Transformer) -> None:
        super().__init__()
        self.net = net

    def forward(self, source: Tensor, target_in: Tensor, target_out: Tensor, smoothing: float) -> Any:
        return smoothed_cross_entropy(self.net(source, target_in), target_out[target_in != self.net.pad], smoothing)


def _measured(passes: list[Pass]) -> Measured:
    return Measured(
        loss=[_finite(one.loss) for one in passes],
        output=[_finite(one.output) for one in passes],
        sites={q: [[_finite(getattr(site, q)) for site in one.sites] for one in passes] for q in QUANTITIES},
    )


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
