"""One run from its configuration to its result."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from skipln.configuration.schema import RunConfig, TextTraining
from skipln.engine.environment import create_fabric
from skipln.engine.loop import Trainer, after_step
from skipln.engine.memory import first_batch
from skipln.engine.ranks import Ranks, lost_ranks_told
from skipln.engine.recording import begin, record, say, short
from skipln.engine.statistics import estimate_statistics
from skipln.engine.tracker import tracked
from skipln.errors import UserError
from skipln.runs.folder import RunFolder, State
from skipln.runs.reading import read_metrics
from skipln.system.memory import out_of_memory
from skipln.system.processes import interrupting
from skipln.tasks import create_task


def execute(config: RunConfig) -> State:
    """Train, test and record the run of `config`, or continue it; a finished run is left as it is.

    Returns done, diverged or interrupted. Raises UserError for what the user can fix; the folder's status keeps its
    message.
    """
    fabric = create_fabric(config)
    folder = RunFolder(config.folder)
    with Ranks(fabric) as ranks, folder.lock() if fabric.is_global_zero else nullcontext():
        ranks.wait_for_first()  # rank 0 may wait for an earlier process of this run, however long that takes
        with lost_ranks_told():
            result = fabric.broadcast(folder.finished())
        if result is not None:
            say(fabric, f"{result.state}: {folder.path} {short(result.metrics)}")
            return result.state
        try:
            tracking = tracked(config, folder, fabric.device) if fabric.is_global_zero else nullcontext()
            with tracking, interrupting(), _denormals_flushed(), lost_ranks_told():
                if config.inputs:
                    from skipln.engine.evaluation import evaluate  # imports the nets of all tasks

                    return evaluate(config, fabric, folder)
                return _train_and_test(config, fabric, folder, ranks)
        except KeyboardInterrupt:
            _leave(config, fabric, folder, "interrupted", "outside training; nothing is lost")
            return "interrupted"
        except Exception as error:
            if out_of_memory(error):
                error = _too_large(config, fabric)
            why = f"{'' if isinstance(error, UserError) else f'{type(error).__name__}: '}{error}"
            with suppress(UserError):  # a full disk cannot take the status either
                _leave(config, fabric, folder, "failed", why)
            raise error


def _too_large(config: RunConfig, fabric: Fabric) -> UserError:
    """What a user may do when memory does not suffice."""
    size = "max_tokens" if isinstance(config.training, TextTraining) else "batch"
    return UserError(
        f"out of memory on {fabric.device.type}: divide training.{size} and multiply training.accumulate by the same "
        "factor, which leaves the size of an update as it is, or choose a smaller model"
    )


def _leave(config: RunConfig, fabric: Fabric, folder: RunFolder, state: State, why: str) -> None:
    if fabric.is_global_zero:
        folder.write_status(state, folder.last_update(), config.training.updates, why)


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Flush numbers below 1e-38 to 0: Adam's moments of rare words, for example, are slow on a CPU and only noise."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)  # torch's default, for what else this process may do


def _train_and_test(config: RunConfig, fabric: Fabric, folder: RunFolder, ranks: Ranks) -> State:
    task = create_task(config)
    memory = first_batch(config, fabric, task) if fabric.is_global_zero else {}
    trainer = Trainer(config, task, fabric, folder, ranks)
    environment = begin(config, fabric, folder, task, trainer.update)
    state, message = trainer.fit()
    if not fabric.is_global_zero or state == "interrupted":
        return state
    if state == "done":
        averaged = trainer.checkpoints.average(trainer.update, config.training.checkpoint_every)
        trainer.model.load_state_dict(averaged)
        after_step(trainer.model)
        if config.training.average > 1:
            estimate_statistics(trainer.model, task, fabric, config.seed)
        if not _all_finite(trainer.model):  # no later loss can show an explosion in the last update
            state, message = "diverged", f"weights or statistics are not finite after update {trainer.update}"
        elif not math.isfinite(_validation_loss(folder)):
            state, message = "diverged", f"the validation loss is not finite after update {trainer.update}"
    if state == "done":
        trainer.checkpoints.save_tested(trainer.update, trainer.model.state_dict())
    trained: dict[str, Any] = {
        f"{task.unit}_per_second": round(trainer.units / max(trainer.busy, 1e-9), 1),
        "train_seconds": round(trainer.wall, 1),
        "seconds_per_update": float(f"{trainer.busy / max(trainer.update, 1):.4g}"),
        **memory,
    }
    if fabric.device.type == "cuda":
        trained["peak_bytes"] = torch.cuda.max_memory_allocated(fabric.device)
    return record(config, fabric, folder, task, trainer.model, trainer.update, state, message, environment, trained)


def _validation_loss(folder: RunFolder) -> float:
    """Return the last validation loss that was logged, or 0 if there is none."""
    losses = [point["valid/loss"] for point in read_metrics(folder.path) if "valid/loss" in point]
    return losses[-1] if losses else 0.0


def _all_finite(model: nn.Module) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())
