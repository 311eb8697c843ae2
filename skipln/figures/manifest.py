"""What a figure consists of: experiments/figureN.yaml, checked strictly."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from skipln.errors import UserError
from skipln.system.places import EXPERIMENTS
from skipln.tables.manifest import SCALES, Line, Name, Node, Override, Scale, checked_override, read


class Model(Node):
    """A family of nets. `depths`: the overrides that make each depth; `unit` names the unit of the depths.

    `of`: a table whose finished runs are measured in place of short trainings; its rows count whose form and λ the
    figure has. `depths` then gives the name of one column for each depth, and nothing else.
    """

    name: Name
    label: Line
    unit: Line = "layers"
    of: str | None = None
    overrides: list[Override] = Field(default_factory=list)
    depths: Annotated[dict[PositiveInt, list[str]], Field(min_length=1)]

    @model_validator(mode="after")
    def _fit(self) -> "Model":
        for depth, words in self.depths.items():
            if self.of is not None and (len(words) != 1 or "=" in words[0] or self.overrides):
                raise ValueError(f"depths.{depth}: for a net of {self.of}, give only the name of a column")
            if self.of is None:
                for word in words:
                    checked_override(word)
        return self


class AtScale(Node):
    """What a figure consists of at one scale. `threads`: per net; as many nets run at once as fit the cores.

    `batches`: how many micro-batches of training data are measured for each of the `seeds`.
    """

    seeds: PositiveInt
    batches: PositiveInt
    threads: PositiveInt
    overrides: list[Override] = Field(default_factory=list)
    models: Annotated[list[Model], Field(min_length=1)]


class Manifest(Node):
    """One figure: the `forms` (connections) × λ × the models and depths of a scale × seeds."""

    name: Name
    title: Line
    forms: Annotated[list[str], Field(min_length=1)]
    lams: Annotated[list[PositiveFloat], Field(min_length=1)]
    law: list[str]
    scales: dict[Scale, AtScale]
    notes: list[Line] = Field(default_factory=list)

    def at(self, scale: str) -> AtScale:
        """What is made at `scale`. Raises UserError, one line that lists the choices, if there is nothing."""
        if scale not in self.scales:
            choices = ", ".join(name for name in SCALES if name in self.scales)
            raise UserError(f"{self.name} has nothing at scale={scale}: choose one of {choices}")
        return self.scales[scale]


def names(experiments: Path = EXPERIMENTS) -> list[str]:
    """The names of all figures, by number."""
    return sorted((path.stem for path in experiments.glob("figure*.yaml")), key=lambda name: (len(name), name))


def load(name: str, experiments: Path = EXPERIMENTS) -> Manifest:
    """Read and check the manifest of figure `name`. Raises UserError, one line that lists the choices."""
    if name not in names(experiments):
        raise UserError(f"no figure {name}: choose one of {', '.join(names(experiments)) or 'none'}")
    return read(experiments / f"{name}.yaml", Manifest)
