"""The inputs of an evaluation, which are finished runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from skipln.configuration.schema import ParallelText, RunConfig
from skipln.engine.checkpoint import Checkpoints
from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.identity import identity, public
from skipln.runs.reading import required_result
from skipln.runs.result import Candidate, Ended, Result
from skipln.system.strict_yaml import read_dumped
from skipln.tasks import Task

SEARCHED = ("optim", "schedule")  # groups in which the inputs of a search may differ from each other


@dataclass(frozen=True)
class Input:
    """A run that is done or diverged: its folder, its configuration and its result."""

    folder: RunFolder
    config: RunConfig
    result: Result

    @classmethod
    def read(cls, path: Path) -> "Input":
        """Read the finished run in the folder `path`. Raises UserError if it is not finished or cannot be read."""
        result = required_result(path)
        try:
            content = read_dumped(path / "config.yaml")
            config = RunConfig.model_validate(content)
        except (OSError, ValueError) as error:
            raise UserError(f"inputs: {path}/config.yaml cannot be read") from error
        if (own := identity(content)) != path.name:  # weights of the same shapes would be taken for another λ
            raise UserError(f"inputs: {path}/config.yaml is not of this run, but of {own}")
        return cls(RunFolder(path), config, result)

    @property
    def name(self) -> str:
        return self.folder.path.name

    @property
    def state(self) -> Ended:
        return self.result.state

    @property
    def update(self) -> int:
        return self.result.update

    @property
    def message(self) -> str:
        return self.result.message

    @property
    def valid_loss(self) -> float | None:
        """The validation loss of the final weights; None if the run diverged or read the test set instead."""
        return self.result.metrics.get("valid_loss")

    def is_like(self, config: RunConfig, groups: Sequence[str]) -> bool:
        """Return whether this is the run that `config` describes, apart from these groups of keys and the test set."""
        theirs = {group: getattr(self.config, group) for group in groups}
        return self.with_its_test_set(config).model_copy(update={"inputs": [], **theirs}).hash == self.name

    def with_its_test_set(self, config: RunConfig) -> RunConfig:
        """Return `config` with the test set that the run was tested on."""
        ours, theirs = config.data, self.config.data
        if not (isinstance(ours, ParallelText) and isinstance(theirs, ParallelText)) or ours.test == theirs.test:
            return config
        return config.model_copy(update={"data": ours.model_copy(update={"test": theirs.test})})

    def check(self, task: Task) -> None:
        """Raise UserError if the data is not what the run was trained on; `task` has its test set."""
        if task.describe().fingerprint != self.result.data.fingerprint:
            raise UserError(f"inputs: the data has changed since {self.folder.path} was trained")

    def check_vocabulary(self, task: Task) -> None:
        """Raise UserError if the task's vocabulary is not that with which the run was trained."""
        with TemporaryDirectory() as folder:
            task.save_inputs(Path(folder))
            for path in Path(folder).iterdir():
                own = self.folder.inputs / path.name
                if not own.is_file() or own.read_bytes() != path.read_bytes():
                    raise UserError(f"inputs: the vocabulary is not {own}, with which the run was trained")

    def load(self, model: nn.Module) -> None:
        """Load the weights that the run itself was tested with."""
        checkpoints = Checkpoints(self.folder.checkpoints, self.name, keep=self.config.training.average)
        model.load_state_dict(checkpoints.load_tested(self.update))


def read_inputs(config: RunConfig) -> list[Input]:
    """Return the runs of which an evaluation tests the best.

    All must be finished. A single one may differ from the evaluation only in keys of task and, for text, in data.test.
    Several, which are a search, may also differ in keys of optim and schedule, and must not have read the test set.
    Raises UserError otherwise.
    """
    found = [Input.read(Path(config.paths.runs) / name) for name in config.inputs]
    groups = ("task",) if len(found) == 1 else ("task", *SEARCHED)
    for one in found:
        if not one.is_like(config, groups):
            may = "task" if len(found) == 1 else "task, optim and schedule"
            raise UserError(
                f"inputs: {one.name} is another run; an evaluation may differ from its input only in data.test and "
                f"keys of {may}"
            )
        if len(found) > 1 and one.config.task.test:
            raise UserError(f"inputs: {one.name} has read the test set; runs to be compared need task.test=false")
    return found


def read_attacked(config: RunConfig) -> tuple[Input, Input]:
    """Return the source and the target of a transfer attack; the source differs from `config` in its task alone.

    Raises UserError unless both are finished classifications of the same data.
    """
    source, target = (Input.read(Path(config.paths.runs) / name) for name in config.inputs)
    for one in (source, target):
        if one.config.task.name != "classification":
            raise UserError(f"inputs: {one.name} is a run of task={one.config.task.name}, not of classification")
    if not source.is_like(config, ("task",)):
        raise UserError(f"inputs: {source.name} is another run; an attack differs from its source in task alone")
    if public(source.config.model_dump())["data"] != public(target.config.model_dump())["data"]:
        raise UserError(f"inputs: {target.name} has other data than {source.name}")
    return source, target


def best(inputs: Sequence[Input]) -> Input:
    """Return the input with the lowest validation loss, the first of equals; if all diverged, the first."""
    done = [(one.valid_loss, place) for place, one in enumerate(inputs) if one.valid_loss is not None]
    return inputs[min(done)[1]] if done else inputs[0]


def compared(inputs: Sequence[Input]) -> list[Candidate]:
    """Return what a result says about every input of a search: its validation loss, and its differing settings."""
    settings = [_settings(one) for one in inputs]
    keys = dict.fromkeys(key for own in settings for key in own)
    differing = [key for key in keys if any(own.get(key) != settings[0].get(key) for own in settings)]
    return [
        Candidate(
            hash=one.name,
            state=one.state,
            valid_loss=one.valid_loss,
            settings={key: own[key] for key in differing if key in own},
        )
        for one, own in zip(inputs, settings, strict=True)
    ]


def _settings(one: Input) -> dict[str, Any]:
    """Return the searched settings by dotted key."""
    groups = {group: getattr(one.config, group).model_dump() for group in SEARCHED}
    return {f"{group}.{key}": value for group, node in groups.items() for key, value in node.items()}
