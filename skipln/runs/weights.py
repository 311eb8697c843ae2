"""Where the weights of a finished run are, and what they need beside them. It needs no torch."""

from pathlib import Path

from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.reading import read_config, read_state
from skipln.runs.result import Result, read_result
from skipln.runs.sums import as_written

EXPORTED = "model.safetensors"  # instead of checkpoints/, in a folder that an export wrote
IMPORTED = "weights.pt"  # in a folder that `skipln.interop.fairseq convert` wrote


def usable_result(folder: Path) -> Result:
    """Return the result of a run that was trained and is done, wherever its folder is.

    Raises UserError, one line, for any other.
    """
    result = read_result(folder, moved=True)
    if result is None:
        state = read_state(folder)
        raise UserError(
            f"{folder}: this run is not finished ({state.state}, update {state.update} of {state.updates}); "
            "start its training command again to continue it"
        )
    if result.state == "diverged":
        raise UserError(f"{folder}: this run diverged at update {result.update} and has no model to use")
    if others := [result.chosen] if result.chosen else _evaluated(folder):
        raise UserError(f"{folder}: this run trained nothing: use the one that it tested, {' or '.join(others)}")
    return result


def _evaluated(folder: Path) -> list[str]:
    """Return the runs that an evaluation in `folder` tested; none for a run that was trained."""
    found = read_config(folder).get("inputs")
    return [str(name) for name in found] if isinstance(found, list) else []


def weights_file(source: Path) -> Path:
    """Return the weights file that `init_from` names: `source` itself, or that of a run, an export or an import.

    Raises UserError, one line, if there is none.
    """
    if source.is_file():
        return source
    if not source.is_dir():
        raise UserError(f"init_from={source}: no such run and no such file")
    if (source / "config.yaml").is_file():
        usable_result(source)
        tested = RunFolder(source).checkpoints / "tested.pt"
        found = [path for path in (tested, source / EXPORTED) if path.is_file()]
        if not found:
            raise UserError(f"{tested}: no such checkpoint; a run of an older version must be trained again")
        return found[0]
    if (source / IMPORTED).is_file():
        return source / IMPORTED
    raise UserError(f"init_from={source}: not a run's folder, because it has no config.yaml")


def inputs_beside(source: Path) -> Path | None:
    """Return the folder with what prepares raw inputs for these weights, such as a vocabulary; None if there is none.

    source: as for `init_from`; for a file, the run or export that holds it. Raises UserError as `check_inputs` does.
    """
    if source.is_dir():
        folders = [source]
    else:
        folders = [source.parent.parent if source.parent.name == "checkpoints" else source.parent]
    found = next((path for folder in folders if (path := RunFolder(folder).inputs).is_dir()), None)
    if found and (result := read_result(found.parent, moved=True)):
        check_inputs(found.parent, result)
    return found


def check_inputs(folder: Path, result: Result) -> None:
    """Raise UserError if a file of `folder`'s inputs/ changed since the run ended; a model would take words for others.

    An older result, which does not list them, is trusted.
    """
    files = (result.model_extra or {}).get("files")
    for path in sorted(RunFolder(folder).inputs.iterdir()):
        if not as_written(path, files):
            raise UserError(f"{path}: changed since the run ended; copy it again, or train the run again")
