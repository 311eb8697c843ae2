"""Checkpoints: the last training states, the last weights for averaging, the best weights.

state-<update>.pt holds everything a run needs to continue; two are kept, so that a run can fall back from a damaged one
to the one before. weights-<update>.pt holds the model alone, and the last `keep` stay. best.pt holds the weights of the
lowest validation loss. Each is sealed (`engine.seal`) with its run's hash, kind and update, so that a run loads only
what it saved itself.
"""

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from skipln.engine.seal import check_seal, seal
from skipln.errors import UserError
from skipln.system.files import atomic_write

States = dict[str, Tensor]
Kind = Literal["state", "weights"]


class Checkpoints:
    """The checkpoints of one run. run: its hash. keep: how many weights are kept for averaging."""

    def __init__(self, folder: Path, run: str, keep: int) -> None:
        self.folder, self.run, self.keep = folder, run, keep

    def save_state(self, update: int, state: dict[str, Any]) -> None:
        """Save a training state and keep the last two."""
        self._save("state", update, state)
        self._prune("state", 2)

    def save_weights(self, update: int, weights: States) -> None:
        """Save weights for averaging and keep the last `keep`."""
        self._save("weights", update, weights)
        self._prune("weights", self.keep)

    def save_best(self, weights: States) -> None:
        save(self.folder / "best.pt", weights, self._owner("best", None))

    def save_tested(self, update: int, weights: States) -> None:
        """Save the weights that the run's result measures: averaged, with the statistics that belong to the average."""
        save(self.folder / "tested.pt", weights, self._owner("tested", update))

    def load_tested(self, update: int) -> States:
        """Load the tested weights. Raises UserError if they are missing, damaged, or not those of the end, `update`."""
        return load(self.folder / "tested.pt", self._owner("tested", update))

    def load_state(self, fits: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any] | None:
        """Return the newest usable training state, or None to start afresh.

        A state that is damaged, another run's, or for which `fits` raises UserError is kept under another name, and a
        line on stderr says so.
        """
        for update, path in reversed(self._found("state")):
            try:
                state = load(path, self._owner("state", update))
                fits(state)
                return state
            except UserError as error:
                print(f"warning: {error}; going back to the checkpoint before it", file=sys.stderr)
                with suppress(FileNotFoundError):  # another rank was faster
                    path.rename(path.with_suffix(".damaged"))
        return None

    def forget_after(self, update: int) -> None:
        """Remove the weights of updates later than `update`, because the run went back and will write them again."""
        for found, path in self._found("weights"):
            if found > update:
                path.unlink()

    def average(self, update: int, every: int) -> States:
        """Return the mean of the last `keep` weights of a run that saves every `every` updates and ended at `update`.

        Integer buffers are those of the last weights. Raises UserError if one of the weights is missing or damaged,
        since an average over others would be another model.
        """
        updates = sorted({*range(every, update + 1, every), update})[-self.keep :]
        there = {found for found, _ in self._found("weights")}
        if len(updates) < self.keep or not there.issuperset(updates):
            raise UserError(
                f"{self.folder}: averaging needs the last {self.keep} weights up to update {update}, of which "
                f"{len(there.intersection(updates))} are there; remove the run's folder to train it again"
            )
        states = [load(self._path("weights", update), self._owner("weights", update)) for update in updates]
        return {
            name: torch.stack([state[name].double() for state in states]).mean(0).to(last.dtype)
            if last.is_floating_point()
            else last
            for name, last in states[-1].items()
        }

    def _path(self, kind: Kind, update: int) -> Path:
        return self.folder / f"{kind}-{update:08d}.pt"

    def _owner(self, kind: str, update: int | None) -> dict[str, Any]:
        return {"run": self.run, "kind": kind, "update": update}

    def _found(self, kind: Kind) -> list[tuple[int, Path]]:
        """Return the files of a kind in the order of their updates; other files are ignored."""
        numbers = (re.fullmatch(rf"{kind}-(\d{{8,}})\.pt", path.name) for path in self.folder.glob(f"{kind}-*.pt"))
        return [(update, self._path(kind, update)) for update in sorted(int(found[1]) for found in numbers if found)]

    def _save(self, kind: Kind, update: int, content: dict[str, Any]) -> None:
        save(self._path(kind, update), content, self._owner(kind, update))

    def _prune(self, kind: Kind, keep: int) -> None:
        for _, path in self._found(kind)[:-keep]:
            path.unlink()


def load(path: Path, owner: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint of `owner` to the CPU; only tensors and plain values are unpickled.

    Raises UserError if the file is missing, damaged or has another owner.
    """
    try:
        check_seal(path, owner)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such checkpoint") from error
    except UserError:
        raise
    except Exception as error:  # torch may raise anything for damaged bytes
        raise UserError(f"{path}: damaged ({type(error).__name__})") from error


def save(path: Path, content: dict[str, Any], owner: dict[str, Any]) -> None:
    """Write a checkpoint of `owner`, whole or not at all."""
    with atomic_write(path, "w+b") as file:
        torch.save(content, file)
        seal(file, owner)
