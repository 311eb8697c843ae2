"""Finished runs, as the inputs of an evaluation."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError
from torch import nn

from skipln.configuration.schema import RunConfig
from skipln.engine.checkpoint import Checkpoints
from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.reading import read_state
from skipln.runs.result import Ended, Result
from skipln.tasks import Task


@dataclass(frozen=True)
class Input:
    """A run that is done or diverged: the folder it is in, its configuration and its result."""

    folder: RunFolder
    config: RunConfig
    result: Result

    @classmethod
    def of(cls, config: RunConfig) -> "Input":
        """The one input of an evaluation. Raises UserError unless it is finished and differs in keys of task alone."""
        if len(config.inputs) != 1:
            raise UserError(f"inputs: task={config.task.name} evaluates one run, not {len(config.inputs)}")
        (name,) = config.inputs
        folder = RunFolder(Path(config.paths.runs) / name)
        if (result := folder.finished()) is None:
            found = read_state(folder.path)
            why = ": ".join(filter(None, [found.state, found.message]))
            raise UserError(f"inputs: {folder.path} has no result ({why}); run it first")
        try:
            theirs = RunConfig.model_validate(yaml.safe_load((folder.path / "config.yaml").read_text("utf-8")))
        except (OSError, ValidationError, yaml.YAMLError) as error:
            raise UserError(f"inputs: {folder.path}/config.yaml cannot be read") from error
        if config.model_copy(update={"inputs": [], "task": theirs.task}).hash != name:
            raise UserError(
                f"inputs: {name} is another run; an evaluation may differ from its input in keys of task alone"
            )
        return cls(folder, theirs, result)

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

    def check(self, task: Task) -> None:
        """Raises UserError where the data is not what the run was trained on."""
        if task.describe().fingerprint != self.result.data.fingerprint:
            raise UserError(f"inputs: the data has changed since {self.folder.path} was trained")

    def load(self, model: nn.Module) -> None:
        """The weights that the run itself was tested with."""
        checkpoints = Checkpoints(self.folder.checkpoints, self.name, keep=self.config.training.average)
        model.load_state_dict(checkpoints.load_tested(self.update))
