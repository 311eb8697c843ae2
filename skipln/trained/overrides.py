"""What an evaluation of a run may change: its test set and its search. No torch, so that mistakes are answered soon."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from skipln.configuration.composition import compose, one_line_of, require_data
from skipln.configuration.schema import Catalogs, ParallelText, RunConfig
from skipln.data.text.dataset import held_out
from skipln.data.text.parallel import ParallelFiles
from skipln.errors import UserError

CHANGEABLE = ("data", "task")
TRAINED_WITH = ("vocabulary", "encoding", "max_length")  # of text: an evaluation uses the run's own


def changed(config: RunConfig, overrides: list[str]) -> RunConfig:
    """The configuration with the overrides applied, which may change only data and search; otherwise UserError."""
    content = config.model_dump()
    for override in overrides:
        key, equals, value = override.partition("=")
        group, _, rest = key.partition(".")
        if not equals or group not in CHANGEABLE or key == "task":
            raise UserError(f"{override}: an evaluation changes only data=NAME, data.KEY=VALUE and task.KEY=VALUE")
        if not rest:
            own = [one for one in overrides if one.startswith("data.")]
            content["data"] = compose([f"task={config.task.name}", override, *own]).data.model_dump()
        elif rest not in content[group]:
            raise UserError(f"{group} has no key '{rest}': its keys are {', '.join(content[group])}")
        else:
            content[group][rest] = _value(override, value)
            trained = getattr(config.data, rest, None) if group == "data" and rest in TRAINED_WITH else None
            if trained not in (None, content[group][rest]):
                raise UserError(f"{override}: the model was trained with {key}={trained}, which an evaluation keeps")
    try:
        found = RunConfig.model_validate(content)
    except ValidationError as error:
        raise UserError(one_line_of(error)) from error
    texts = [isinstance(one.data, Catalogs | ParallelText) for one in (config, found)]
    if texts[0] != texts[1]:
        raise UserError(
            f"data={found.data.name} is {'images' if texts[0] else 'text'}, but this run is of the other kind"
        )
    return found


def _value(override: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{override}: its value cannot be read; put a text in quotes") from error


def scored_files(data: ParallelText) -> ParallelFiles:
    """The files of a test set in plain text, from before its encoding where it came encoded."""
    return held_out(ParallelFiles(Path(data.dir), data.source, data.target, data.train, data.valid, data.test))


def require_test_set(config: RunConfig) -> None:
    """Raise UserError if the files or the folder of the test set are missing."""
    if not isinstance(config.data, ParallelText):
        require_data(config)
        return
    for path in scored_files(config.data).paths("test"):
        if not path.is_file():
            raise UserError(f"{path}: no such file; data.dir, data.test, data.source and data.target name it")
