"""What a run's folder says before its weights are loaded. No torch, so that mistakes are answered at once."""

from pathlib import Path

from pydantic import ValidationError

from skipln.configuration.schema import RunConfig
from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.result import Result
from skipln.runs.weights import check_inputs, usable_result
from skipln.system.strict_yaml import read_dumped


def read_run(folder: Path, task: str = "") -> tuple[RunConfig, Result]:
    """Read the configuration and result of a run that has a model to use, and is of `task` if one is given.

    Raises UserError, one line, for any other folder.
    """
    try:
        config = RunConfig.model_validate(read_dumped(folder / "config.yaml"))
    except OSError as error:
        raise UserError(f"{folder}: not a run's folder, because it has no config.yaml") from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{folder}: a run of another version ({where}: {error.errors()[0]['msg'].lower()})") from error
    except ValueError as error:
        raise UserError(f"{folder}/config.yaml: damaged") from error
    if config.engine != "skipln":
        raise UserError(f"{folder}: trained by {config.engine}, whose checkpoints are beside it; use fairseq-generate")
    result = usable_result(folder)
    if config.hash != result.hash:
        raise UserError(f"{folder}/config.yaml: not of this run, {result.hash}, but of {config.hash}; copy it again")
    inputs = RunFolder(folder).inputs
    if not inputs.is_dir():
        raise UserError(f"{folder}: this run is of an older version, which wrote no {inputs.name}/; train it again")
    check_inputs(folder, result)
    if task:
        require_task(folder, config, task)
    return config, result


def require_task(folder: Path, config: RunConfig, task: str) -> None:
    """Raise UserError if the run in `folder` is of another task."""
    if config.task.name == task:
        return
    if task == "translation":
        raise UserError(f"{folder}: this run classifies images; it has no translations")
    raise UserError(f"{folder}: this run translates; it has no classes")
