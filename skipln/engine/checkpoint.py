"""Checkpoints: the last training states, the last weights for averaging, the best weights.

state-<update>.pt holds everything a run needs to go on (two are kept: a damaged one falls back to the one before);
weights-<update>.pt holds the model alone, the last `keep` of them; best.pt the weights of the lowest validation loss.
"""

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skipln.errors import UserError
from skipln.files import atomic_write

States = dict[str, Tensor]


class Checkpoints:
    """The checkpoints of one run. keep: how many weights are kept for averaging."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def save_state(self, update: int, state: dict[str, Any]) -> None:
        _save(self.folder / f"state-{update:08d}.pt", state)
        self._prune("state-*.pt", 2)

    def save_weights(self, update: int, weights: States) -> None:
        _save(self.folder / f"weights-{update:08d}.pt", weights)
        self._prune("weights-*.pt", self.keep)

    def save_best(self, weights: States) -> None:
        _save(self.folder / "best.pt", weights)

    def load_state(self) -> dict[str, Any] | None:
        """The newest whole training state, None to begin anew; a damaged one is passed over with a line on stderr."""
        for path in sorted(self.folder.glob("state-*.pt"), reverse=True):
            try:
                return load(path)
            except UserError as error:
                print(f"warning: {error}; going back to the checkpoint before it", file=sys.stderr)
                path.rename(path.with_suffix(".damaged"))
        return None

    def forget_after(self, update: int) -> None:
        """Remove the weights of updates later than `update`: the run went back and will write them again."""
        for path in self.folder.glob("weights-*.pt"):
            if int(path.stem.removeprefix("weights-")) > update:
                path.unlink()

    def average(self) -> States:
        """The mean of the last `keep` weights (integer buffers: the last ones').

        Raises UserError when one is missing or damaged: an average over fewer would be another model.
        """
        paths = sorted(self.folder.glob("weights-*.pt"))
        if len(paths) < self.keep:
            raise UserError(
                f"{self.folder}: averaging needs the last {self.keep} weights and {len(paths)} are there; "
                "remove the run's folder to train it again"
            )
        states = [load(path) for path in paths[-self.keep :]]
        return {
            name: torch.stack([state[name].double() for state in states]).mean(0).to(last.dtype)
            if last.is_floating_point()
            else last
            for name, last in states[-1].items()
        }

    def _prune(self, pattern: str, keep: int) -> None:
        for path in sorted(self.folder.glob(pattern))[:-keep]:
            path.unlink()


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU without unpickling anything but tensors and plain values.

    Raises UserError when the file is missing or damaged (every member's CRC is checked).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (member := archive.testzip()) is not None:
                raise UserError(f"{path}: damaged ({member})")
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such checkpoint") from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError, NotImplementedError) as error:
        raise UserError(f"{path}: damaged ({type(error).__name__})") from error


def _save(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        torch.save(content, file)
