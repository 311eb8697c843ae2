"""The training loop.

No random draw depends on the past: the batches are a function of the seed and the epoch, the dropout of the seed, the
update and the micro-batch. So a run continues exactly from a checkpoint, and R ranks that share an update's
micro-batches draw what one rank draws.
"""

import math
import sys
import time
from contextlib import closing
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import nn

from skipln.configuration.schema import RunConfig
from skipln.data.seeds import mixed
from skipln.engine.checkpoint import Checkpoints
from skipln.engine.ranks import Ranks
from skipln.engine.signals import Interruptions
from skipln.engine.stream import Stream
from skipln.engine.update.gradients import gradient_norm
from skipln.engine.update.optimizer import create_optimizer
from skipln.engine.update.schedule import learning_rate
from skipln.engine.weights.initial import start_from_weights
from skipln.errors import UserError
from skipln.runs.divergence import Divergence
from skipln.runs.folder import MetricsLog, RunFolder
from skipln.runs.result import Ended
from skipln.seam.profile import profile, unprofiled
from skipln.system.progress import progress_bar
from skipln.tasks.task import Task

SUMS = ("loss", "nll")  # sums over the window since the last log point; each rank has its own until they are added up


@torch.no_grad()
def after_step(model: nn.Module) -> None:
    """Call `after_step()` of every module that has one, to restore what it demands of its weights, such as a norm."""
    for module in model.modules():
        if restore := getattr(module, "after_step", None):
            restore()


class Trainer:
    """Trains one model in one run folder, starting from its last checkpoint if there is one."""

    def __init__(self, config: RunConfig, task: Task, fabric: Fabric, folder: RunFolder, ranks: Ranks) -> None:
        self.config, self.task, self.fabric, self.folder, self.ranks = config, task, fabric, folder, ranks
        self.checkpoints = Checkpoints(folder.checkpoints, config.hash, keep=config.training.average)
        torch.manual_seed(config.seed)
        self.model = task.build()
        saved = self.checkpoints.load_state(folder.check_log) or {}
        if not saved:
            self._begin()
        if config.compute.compile:
            self.model.compile(dynamic=True)  # in place, so that its weights keep their names
        optimizer = create_optimizer(config.optim, self.model.parameters())
        self.wrapped, self.optimizer = fabric.setup(self.model, optimizer)

        self.update: int = saved.get("update", 0)
        self.units: int = saved.get("units", 0)
        self.wall: float = saved.get("wall", 0.0)  # seconds so far, validation included
        self.busy: float = saved.get("busy", 0.0)  # seconds so far in updates alone
        self.best: float = saved.get("best", math.inf)
        self.divergence = Divergence(
            config.training.diverged_above, config.training.diverged_after, saved.get("lowest", math.inf)
        )
        self.window: dict[str, Any] = saved.get("window", {})
        epoch, index = saved.get("position", (0, 0))
        self.stream = Stream(
            task, epoch, index,
            count=config.training.accumulate, rank=fabric.global_rank, world=fabric.world_size,
        )  # fmt: skip
        if saved:
            if saved["data"] != task.describe().model_dump():
                raise UserError(
                    f"{folder.path}: the data has changed since its checkpoint; give the new data another data.name, "
                    "or remove the folder to train anew"
                )
            self._restore(saved)
        if fabric.is_global_zero:
            self.checkpoints.forget_after(self.update)
            self.log = MetricsLog(folder.metrics, saved.get("log_offset", 0))
        else:  # the saved sums are those of all ranks, and rank 0 continues from them
            self.window |= {key: 0.0 for key in SUMS if key in self.window}

    def _begin(self) -> None:
        """Start a run afresh: give it the weights that it starts from, and profile connections that must see a batch
        before they are trained; every rank uses the same batch."""
        if self.config.init_weights:
            start_from_weights(self.model, self.config)
            after_step(self.model)
        if any(unprofiled(self.model)):
            torch.manual_seed(mixed(self.config.seed, 0, 0))
            profile(self.model, lambda: self.task.loss(self.model, self.task.epoch(0)[0]))

    def _restore(self, saved: dict[str, Any]) -> None:
        for name, _ in self.model.named_buffers():
            if name.endswith(".profiled") and not saved["model"].get(name):
                raise UserError(
                    f"{self.folder.path}: its checkpoint lacks the profile with which "
                    f"{self.config.skip['name']} begins ({name}); remove the folder to train anew"
                )
        try:
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.fabric.strategy.precision.load_state_dict(saved["precision"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = str(error).splitlines()[0]
            raise UserError(
                f"{self.folder.path}: its checkpoint is of another model ({why}); remove the folder to train anew"
            ) from error

    def fit(self) -> tuple[Ended | Literal["interrupted"], str]:
        """Train to the last update. Return the state reached (done, diverged, or interrupted by a signal) and why.

        A signal to any rank reaches all ranks at the same update. All save and then return, or go on if the signal has
        another handler, which may end the process, such as a scheduler's that requeues the job.
        """
        training = self.config.training
        label = f"{self.config.skip['name']} seed {self.config.seed}"
        progress = progress_bar(training.updates, "update", label, self.update, shown=self.fabric.is_global_zero)
        self.wrapped.train()
        with Interruptions() as interruptions, closing(self.stream), progress:
            started = time.monotonic() - self.wall
            first = self.config.compute.compile and self.fabric.is_global_zero
            while not self._at_end():
                before = time.monotonic()
                heard, final = self._step(interruptions)
                self.busy += time.monotonic() - before
                if first:
                    took = time.monotonic() - before
                    progress.write(f"the first update, compiling included, took {took:.0f} s", file=sys.stderr)
                    first = False
                self.wall = self._seconds_since(started)
                progress.update()
                if self.update % training.log_every == 0 or self._at_end():
                    loss = self._log_training()
                    progress.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                    if why := self.divergence.verdict(self.update, loss):
                        return "diverged", why
                if self.update % training.checkpoint_every == 0 or self._at_end():
                    if self.fabric.is_global_zero:
                        self._validate()
                    self.ranks.wait_for_first()
                    self.wall = self._seconds_since(started)
                    self._save()
                if heard:
                    self._save_state()
                    message = f"by {interruptions.names} at update {self.update}"
                    if self.fabric.is_global_zero:
                        self.folder.write_status("interrupted", self.update, training.updates, message)
                    self.ranks.wait_for_first()  # a rank that ends may take rank 0 with it
                    interruptions.hand_on()
                    if final:
                        return "interrupted", message
        stopped = self.update < training.updates
        return "done", f"stopped by training.wall_limit at update {self.update}" if stopped else ""

    def _seconds_since(self, started: float) -> float:
        """Return the seconds since `started`; rank 0's if they may end the training, so that all ranks stop at once."""
        seconds = time.monotonic() - started
        return self.fabric.broadcast(seconds) if self.config.training.wall_limit else seconds

    def _at_end(self) -> bool:
        training = self.config.training
        return self.update >= training.updates or 0 < training.wall_limit <= self.wall

    def _step(self, interruptions: Interruptions) -> tuple[bool, bool]:
        """Do one update: the gradient of the mean loss over all units of its micro-batches, then the optimizer.

        Return whether any rank was interrupted by then, and whether for good. Ranks exchange this when they count the
        units.
        """
        config, fabric = self.config, self.fabric
        self.update += 1
        batches = self.stream.take()
        units = sum(self.task.units(batch) for batch in batches)
        if fabric.world_size > 1:
            told = torch.tensor([units, bool(interruptions), interruptions.final], device=fabric.device)
            units, heard, final = self._sum(told).tolist()
        for i, batch in enumerate(batches):
            torch.manual_seed(mixed(config.seed, self.update, i * fabric.world_size + fabric.global_rank))
            with fabric.no_backward_sync(self.wrapped, enabled=i + 1 < len(batches)):
                loss = self.task.loss(self.wrapped, fabric.to_device(batch))
                fabric.backward(loss.total * (fabric.world_size / units))  # DDP takes the mean over ranks
            self._add(loss=loss.total.detach(), nll=loss.nll.detach())
        self.clip()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config.schedule, config.optim.lr, self.update, config.training.updates)
        self.optimizer.step()
        after_step(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        self.units += units
        self._add(units=units)
        if fabric.world_size > 1:
            return bool(heard), bool(final)
        return bool(interruptions), interruptions.final

    def clip(self) -> None:
        """Measure the gradient's norm at every update that is logged, and clip the gradient if so configured.

        Measuring changes nothing, whatever the norm is. Clipping multiplies by min(1, clip / (norm + 1e-6)).
        """
        clip, logged = self.config.optim.clip, self.update % self.config.training.log_every == 0
        if not (clip or logged):
            return
        self.fabric.strategy.precision.unscale_gradients(self.optimizer)  # undo fp16's loss scale
        parameters = list(self.model.parameters())
        norm = gradient_norm(parameters)
        if clip:
            nn.utils.clip_grads_with_norm_(parameters, clip, norm)
        self.window["grad_norm"] = norm

    def _add(self, **sums: Any) -> None:
        for key, value in sums.items():
            self.window[key] = self.window.get(key, 0.0) + value

    def _log_training(self) -> float:
        """Log the means since the last log point. Return the training loss in nats per unit, over all ranks."""
        seconds = self.busy - self.window.get("since", 0.0)
        loss, nll = (float(self._sum(self.window[key])) / self.window["units"] for key in ("loss", "nll"))
        norm = {"grad_norm": float(self.window["grad_norm"])} if "grad_norm" in self.window else {}  # not at an end
        if self.fabric.is_global_zero:
            self.log.append(
                **self._progress(),
                **{"train/loss": loss, "train/nll": nll, "lr": self.optimizer.param_groups[0]["lr"]},
                **norm,
                **{f"{self.task.unit}_per_second": self.window["units"] / max(seconds, 1e-9)},
            )
            self.folder.write_status("running", self.update, self.config.training.updates)
        self.window = {"since": self.busy}
        return loss

    def _sum(self, value: Any) -> Any:
        """Return the sum of `value` over all ranks; `value` itself does not change."""
        if self.fabric.world_size == 1:
            return value
        return self.fabric.all_reduce(torch.as_tensor(value, device=self.fabric.device).clone(), reduce_op="sum")

    def _progress(self) -> dict[str, Any]:
        place = {"update": self.update, "epoch": self.stream.epoch}
        return {**place, self.task.unit: self.units, "wall": round(self.wall, 2)}

    def _validate(self) -> None:
        """Validate the bare model, on rank 0 alone."""
        self.model.eval()
        with torch.no_grad(), self.fabric.autocast():
            metrics = self.task.validate(self.model)
        self.wrapped.train()
        self.log.append(**self._progress(), **metrics)
        if metrics["valid/loss"] < self.best:
            self.best = metrics["valid/loss"]
            self.checkpoints.save_best(self.model.state_dict())

    def _save(self) -> None:
        if self.fabric.is_global_zero:
            self.checkpoints.save_weights(self.update, self.model.state_dict())
        self._save_state()

    def _save_state(self) -> None:
        sums = {key: self._sum(self.window[key]) for key in SUMS if key in self.window}
        if not self.fabric.is_global_zero:
            return
        window = {key: float(value) for key, value in (self.window | sums).items()}
        state = {
            "update": self.update,
            "units": self.units,
            "wall": self.wall,
            "busy": self.busy,
            "best": self.best,
            "lowest": self.divergence.lowest,
            "window": window,
            "data": self.task.describe().model_dump(),
            "position": (self.stream.number, self.stream.index),
            **self.log.synced(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }
        self.checkpoints.save_state(self.update, state)
