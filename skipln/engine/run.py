"""One run from its configuration to its result."""

import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from skipln.configuration.schema import RunConfig
from skipln.engine.environment import describe, fast_bf16
from skipln.engine.inputs import Input
from skipln.engine.loop import Trainer, after_step
from skipln.engine.ranks import Ranks, lost_ranks_told
from skipln.engine.statistics import estimate_statistics
from skipln.engine.tracker import tracked
from skipln.errors import UserError
from skipln.runs.folder import RunFolder, State
from skipln.runs.reading import read_metrics
from skipln.runs.result import Ended, Result
from skipln.runs.source import source
from skipln.system.commands import how_to_use
from skipln.system.files import atomic_write
from skipln.system.processes import interrupting
from skipln.tasks import Task, create_task
from skipln.tasks.task import TestResult

PRECISIONS: dict[str, Any] = {"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}


def execute(config: RunConfig) -> State:
    """Train, test and record the run of `config`, or continue it; a finished one is left as it is.

    Returns done, diverged or interrupted. Raises UserError for what the user can mend; its message is also kept as
    the folder's status.
    """
    fabric = create_fabric(config)
    folder = RunFolder(config.folder)
    with Ranks(fabric) as ranks, folder.lock() if fabric.is_global_zero else nullcontext():
        ranks.wait_for_first()  # which waits for an earlier process of this run, however long it takes
        with lost_ranks_told():
            result = fabric.broadcast(folder.finished())
        if result is not None:
            _say(fabric, f"{result.state}: {folder.path} {_short(result.metrics)}")
            return result.state
        try:
            tracking = tracked(config, folder, fabric.device) if fabric.is_global_zero else nullcontext()
            with tracking, interrupting(), _denormals_flushed(), lost_ranks_told():
                if config.inputs:
                    return _evaluate(config, fabric, folder)
                return _train_and_test(config, fabric, folder, ranks)
        except KeyboardInterrupt:
            _leave(config, fabric, folder, "interrupted", "outside training; nothing is lost")
            return "interrupted"
        except Exception as error:
            why = f"{'' if isinstance(error, UserError) else f'{type(error).__name__}: '}{error}"
            with suppress(UserError):  # a full disk can't take the status either
                _leave(config, fabric, folder, "failed", why)
            raise


def _leave(config: RunConfig, fabric: Fabric, folder: RunFolder, state: State, why: str) -> None:
    if fabric.is_global_zero:
        folder.write_status(state, folder.last_update(), config.training.updates, why)


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Numbers below 1e-38, such as the Adam moments of rare words, are slow on a CPU and nothing but noise."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)  # torch's default, for whatever else this process does


def _train_and_test(config: RunConfig, fabric: Fabric, folder: RunFolder, ranks: Ranks) -> State:
    task = create_task(config)
    trainer = Trainer(config, task, fabric, folder, ranks)
    environment = _begin(config, fabric, folder, task, trainer.update)
    state, message = trainer.fit()
    if not fabric.is_global_zero or state == "interrupted":
        return state
    if state == "done":
        averaged = trainer.checkpoints.average(trainer.update, config.training.checkpoint_every)
        trainer.model.load_state_dict(averaged)
        after_step(trainer.model)
        if config.training.average > 1:
            estimate_statistics(trainer.model, task, fabric, config.seed)
        if not _all_finite(trainer.model):  # an explosion in the last update, which no later loss can show
            state, message = "diverged", f"weights or statistics are not finite after update {trainer.update}"
        elif not math.isfinite(_validation_loss(folder)):
            state, message = "diverged", f"the validation loss is not finite after update {trainer.update}"
    if state == "done":
        trainer.checkpoints.save_tested(trainer.update, trainer.model.state_dict())
    trained = {
        f"{task.unit}_per_second": round(trainer.units / max(trainer.busy, 1e-9), 1),
        "train_seconds": round(trainer.wall, 1),
    }
    return _test(config, fabric, folder, task, trainer.model, trainer.update, state, message, environment, trained)


def _evaluate(config: RunConfig, fabric: Fabric, folder: RunFolder) -> State:
    """Test the input of `config`, a finished run, as its task now says; of a diverged one that is the result."""
    source = Input.of(config)
    if not fabric.is_global_zero:
        return source.state
    task = create_task(config)
    source.check(task)
    environment = _begin(config, fabric, folder, task, source.update)
    model = task.build().to(fabric.device)
    message = f"evaluates {source.name}"
    if source.state == "done":
        source.load(model)
    else:
        message += f", which diverged: {source.message}"
    return _test(config, fabric, folder, task, model, source.update, source.state, message, environment, {})


def _begin(config: RunConfig, fabric: Fabric, folder: RunFolder, task: Task, update: int) -> dict[str, Any]:
    """Say in the folder what begins; returns the environment for the record."""
    code = source()  # now: by the end of the run the files may be others
    environment = {**describe(fabric.device, code), **arithmetic(config)}
    if fabric.is_global_zero:
        folder.write_config(config)
        environment |= folder.write_start(update, environment, code)
        task.save_inputs(folder.inputs)
        folder.write_status("running", update, config.training.updates)
    return environment


def _test(
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
    """Test a model whose training is done, and record what it gave."""
    tested, seconds = None, 0.0
    if state == "done":
        started = time.monotonic()
        model.eval()
        with torch.no_grad():
            tested = task.test(model)
        seconds = time.monotonic() - started
        if not all(map(math.isfinite, tested.metrics.values())):  # a number that no table shows
            state, message, tested = "diverged", f"the test's metrics are not finite after update {update}", None
    if tested is not None:
        _write_outputs(folder, tested)
    result = Result(
        hash=config.hash,
        state=state,
        update=update,
        metrics=tested.metrics if tested is not None else {},
        signatures=tested.signatures if tested is not None else {},
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        **trained,
        test_seconds=round(seconds, 1),
        data=task.describe(),
        environment=environment,
        message=message,
    )
    folder.write_result(result)
    folder.write_status(state, update, config.training.updates, message)
    _say(fabric, " ".join(filter(None, [f"{state}: {folder.path}", message, _short(result.metrics)])))
    if state == "done" and not config.inputs:
        command, arguments = ("translate", "FILE") if config.task.name == "translation" else ("classify", "IMAGE")
        _say(fabric, f"use it: {how_to_use(command, folder.path, arguments)}")
    return state


def _write_outputs(folder: RunFolder, tested: TestResult) -> None:
    with atomic_write(folder.examples) as file:
        np.save(file, tested.examples, allow_pickle=False)
    if tested.outputs:
        folder.write_translations(tested.sources, tested.references, tested.outputs)


def _validation_loss(folder: RunFolder) -> float:
    """The last one that was logged, 0 without one."""
    losses = [point["valid/loss"] for point in read_metrics(folder.path) if "valid/loss" in point]
    return losses[-1] if losses else 0.0


def _all_finite(model: nn.Module) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def create_fabric(config: RunConfig) -> Fabric:
    """Devices, precision and process group. Raises UserError when the machine lacks what is asked for."""
    compute = config.compute
    if compute.accelerator == "cuda" and not torch.cuda.is_available():
        raise UserError("compute.accelerator=cuda, but torch finds no CUDA device here: leave it at auto")
    if config.precision.name == "fp16" and not torch.cuda.is_available():
        raise UserError("precision=fp16 needs a GPU: choose bf16 or fp32 on the CPU")
    if config.precision.name == "bf16" and not _multiplies_bf16(config):
        print("note: this processor has no bf16 arithmetic; precision=fp32 is faster here", file=sys.stderr)
    if compute.threads:
        torch.set_num_threads(compute.threads)
    world = compute.devices * compute.nodes
    warnings.filterwarnings("ignore", "The `srun` command")  # a single process on a login node is fine
    try:
        fabric = Fabric(
            accelerator=compute.accelerator,
            devices=compute.devices,
            num_nodes=compute.nodes,
            strategy="ddp" if world > 1 else "auto",
            precision=PRECISIONS[_precision(config)],
        )
        fabric.launch()
    except (RuntimeError, ValueError) as error:  # what SLURM or torchrun says of the job does not fit compute.*
        raise UserError(
            f"compute.devices={compute.devices} compute.nodes={compute.nodes} cannot be started here: "
            f"{' '.join(str(error).split())}"
        ) from error
    return fabric


def arithmetic(config: RunConfig) -> dict[str, Any]:
    """What a record says of how the net computes, beside its hardware."""
    return {"precision": _precision(config), "compiled": config.compute.compile}


def _precision(config: RunConfig) -> str:
    """What `precision` means on this machine."""
    if config.precision.name != "auto":
        return config.precision.name
    return "bf16" if _multiplies_bf16(config) else "fp32"


def _multiplies_bf16(config: RunConfig) -> bool:
    on_gpu = config.compute.accelerator != "cpu" and torch.cuda.is_available()
    return on_gpu or fast_bf16()


def _say(fabric: Fabric, text: str) -> None:
    if fabric.is_global_zero:
        print(text, file=sys.stderr)


def _short(metrics: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.2f}" for name, value in metrics.items())
