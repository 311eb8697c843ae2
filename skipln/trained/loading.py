"""Load the weights that a run was tested with from the run's folder."""

from pathlib import Path

import torch
from torch import Tensor, nn

from skipln.configuration.schema import RunConfig
from skipln.data.folders import check_sums
from skipln.engine.checkpoint import Checkpoints
from skipln.engine.weights.tensors import load_tensors
from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.weights import EXPORTED


def load_weights(model: nn.Module, folder: Path, config: RunConfig, update: int) -> None:
    """Load the weights that a run, ended at `update`, was tested with into `model`, and set evaluation mode.

    Only tensors are read; nothing is executed. Raises UserError for weights that are missing, damaged or another
    model's.
    """
    checkpoints = Checkpoints(RunFolder(folder).checkpoints, config.hash, config.training.average)
    exported = not checkpoints.folder.exists() and (folder / EXPORTED).is_file()
    weights = _exported(folder, config, update) if exported else checkpoints.load_tested(update)
    try:
        model.load_state_dict(weights)
    except (RuntimeError, AttributeError, KeyError, TypeError) as error:
        where = folder / EXPORTED if exported else checkpoints.folder
        raise UserError(f"{where}: its weights are not those of this run's model") from error
    model.eval()


def _exported(folder: Path, config: RunConfig, update: int) -> dict[str, Tensor]:
    """Read the weights of a run that `skipln-export --to safetensors` wrote."""
    check_sums(folder, only=EXPORTED)
    weights, about = load_tensors(folder / EXPORTED)
    if (about.get("run"), about.get("update")) != (config.hash, str(update)):
        raise UserError(f"{folder / EXPORTED}: weights of another run or update ({about})")
    return weights


def device_of(name: str) -> torch.device:
    """The device for "auto", "cpu" or "cuda". Raises UserError if there is no CUDA device."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: torch finds no CUDA device here; leave it at auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
