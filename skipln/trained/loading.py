"""Load a run's model with the averaged weights from the run's folder; nothing else is needed."""

from pathlib import Path

import torch
import yaml
from pydantic import ValidationError
from torch import Tensor, nn

from skipln.configuration.schema import RunConfig
from skipln.data.folders import check_sums
from skipln.engine.checkpoint import Checkpoints
from skipln.engine.weights.tensors import load_tensors
from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.result import Result
from skipln.runs.weights import EXPORTED, usable_result


def read_run(folder: Path) -> tuple[RunConfig, Result]:
    """Read the configuration and result of a run that is done. Raises UserError, one line, for any other folder."""
    try:
        content = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        config = RunConfig.model_validate(content)
    except OSError as error:
        raise UserError(f"{folder}: not a run's folder, because it has no config.yaml") from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{folder}: a run of another version ({where}: {error.errors()[0]['msg'].lower()})") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{folder}/config.yaml: damaged") from error
    if config.engine != "skipln":
        raise UserError(f"{folder}: trained by {config.engine}, whose checkpoints are beside it; use fairseq-generate")
    return config, usable_result(folder)  # the weights must match the configuration's hash


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
