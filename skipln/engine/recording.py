"""What is written into a run's folder when the run begins and once its model is tested."""

import math
import sys
import time
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from skipln.configuration.schema import RunConfig
from skipln.engine.environment import arithmetic, describe
from skipln.runs.folder import RunFolder, State
from skipln.runs.result import Ended, Result
from skipln.runs.source import source
from skipln.system.commands import how_to_use
from skipln.system.files import atomic_write
from skipln.system.printing import one_line
from skipln.tasks import Task
from skipln.tasks.task import TestResult


def begin(config: RunConfig, fabric: Fabric, folder: RunFolder, task: Task, update: int) -> dict[str, Any]:
    """Write into the folder what begins, and return the environment for the record."""
    code = source()  # read now, since the files may have changed by the end of the run
    environment = {**describe(fabric.device, code), **arithmetic(config)}
    if fabric.is_global_zero:
        folder.write_config(config)
        environment |= folder.write_start(update, environment, code)
        task.save_inputs(folder.inputs)
        folder.write_status("running", update, config.training.updates)
    return environment


def record(
    config: RunConfig,
    fabric: Fabric,
    folder: RunFolder,
    task: Task,
    model: nn.Module,
    update: int,
    state: Ended,
    message: str,
    environment: dict[str, Any],
    trained: dict[str, Any],
) -> State:
    """Test a model whose training is done, and record the result. trained: what the result says about training."""
    tested, seconds = None, 0.0
    if state == "done":
        started = time.monotonic()
        model.eval()
        with torch.no_grad():
            tested = task.test(model) if config.task.test else _validated(task, model)
        seconds = time.monotonic() - started
        if not all(map(math.isfinite, tested.metrics.values())):  # no table could show such a number
            state, message, tested = "diverged", f"the test's metrics are not finite after update {update}", None
    if tested is not None:
        _write_outputs(folder, tested)
    content: dict[str, Any] = {"parameters": sum(parameter.numel() for parameter in model.parameters()), **trained}
    result = Result(
        hash=config.hash,
        state=state,
        update=update,
        metrics=tested.metrics if tested is not None else {},
        signatures=tested.signatures if tested is not None else {},
        **content,
        test_seconds=round(seconds, 1),
        data=task.describe(),
        environment=environment,
        message=message,
    )
    folder.write_result(result)
    folder.write_status(state, update, config.training.updates, message)
    say(fabric, " ".join(filter(None, [f"{state}: {folder.path}", message, short(result.metrics)])))
    if state == "done" and not config.inputs:
        say(fabric, f"use it: {how_to_use(config.task.name, folder.path)}")
    return state


def _validated(task: Task, model: nn.Module) -> TestResult:
    """Return validation metrics ("valid_loss" and so on) for a run that must not read the test set."""
    metrics = {name.replace("/", "_"): value for name, value in task.validate(model).items()}
    return TestResult(metrics, {}, np.empty((0, 0)))


def _write_outputs(folder: RunFolder, tested: TestResult) -> None:
    if not tested.examples.size:
        return
    with atomic_write(folder.examples) as file:
        np.save(file, tested.examples, allow_pickle=False)
    if tested.outputs:
        folder.write_translations(tested.sources, tested.references, tested.outputs)


def say(fabric: Fabric, text: str) -> None:
    """Print `text` on one line to stderr, on rank 0 alone; it may repeat the message of a folder of somebody else."""
    if fabric.is_global_zero:
        print(one_line(text), file=sys.stderr)


def short(metrics: dict[str, float]) -> str:
    """Return the metrics in one line, with two decimals."""
    return " ".join(f"{name} {value:.2f}" for name, value in metrics.items())
