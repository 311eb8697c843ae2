"""The nets that a figure needs: connection × λ × model × depth × seed, each with its configuration."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from skipln import skips
from skipln.configuration.composition import compose
from skipln.configuration.schema import RunConfig
from skipln.errors import UserError
from skipln.figures.forms import label
from skipln.figures.manifest import Manifest, Model
from skipln.system.places import EXPERIMENTS
from skipln.tables import manifest as manifests
from skipln.tables.cells import cells


@dataclass(frozen=True)
class Point:
    """One net. lam: its λ, or None if the connection has none. batches: how many are measured. run: the folder of its
    finished run, or None if it is trained for the figure. lacks: what only the user can give, if anything.
    """

    model: str
    depth: int
    form: str
    lam: float | None
    seed: int
    batches: int
    config: RunConfig
    run: Path | None = None
    lacks: str = ""

    @property
    def path(self) -> Path:
        """The file of its measurement, named after the configuration's hash."""
        return Path(self.config.paths.runs) / "figures" / f"{self.config.hash}-{self.batches}.json"

    def describe(self) -> str:
        """The net in words, such as "rSkip+LN λ=2, preact_resnet 56, seed 1"."""
        return f"{label(self.form, self.lam)}, {self.model} {self.depth}, seed {self.seed}"


def points(manifest: Manifest, scale: str, experiments: Path = EXPERIMENTS, extra: Sequence[str] = ()) -> list[Point]:
    """Every net of `manifest` at `scale`, seed by seed with the sizes mixed, so that the time left can be estimated.

    `extra`: overrides for the finished runs' own table, such as the folder of its data. Raises UserError for a
    configuration that does not compose.
    """
    at = manifest.at(scale)
    own = [point for model in at.models if model.of for point in _finished(manifest, scale, model, experiments, extra)]
    shared = [f"scale={scale}", *at.overrides, f"compute.threads={at.threads}"]
    sizes = {
        (model.name, depth): compose([*shared, *model.overrides, *overrides])
        for model in at.models
        if model.of is None
        for depth, overrides in model.depths.items()
    }
    return own + [
        Point(model, depth, form, lam, seed, at.batches, config.model_copy(update={"seed": seed, "skip": skip}))
        for seed in range(1, at.seeds + 1)
        for form, lam, skip in _settings(manifest)
        for (model, depth), config in sizes.items()
    ]


def _finished(manifest: Manifest, scale: str, model: Model, experiments: Path, extra: Sequence[str]) -> Iterator[Point]:
    """The runs of the model's table whose form and λ the figure has."""
    at, table = manifest.at(scale), manifests.load(str(model.of), experiments)
    known = [column.name for column in table.columns_at(scale)]
    depths = {words[0]: depth for depth, words in model.depths.items()}
    if unknown := [name for name in depths if name not in known]:
        raise UserError(
            f"{manifest.name}: {table.name} has no column {unknown[0]} at scale {scale}: {', '.join(known)}"
        )
    elsewhere = {
        column.name
        for other in {one.of for one in at.models if one.of}
        for column in manifests.load(other, experiments).columns_at(scale)
    }.difference(known)
    mine = [text for text in extra if text.partition(".")[0] not in elsewhere]
    for cell in cells(table, scale, range(1, at.seeds + 1), [*mine, f"compute.threads={at.threads}"]):
        skip = cell.config.skip
        form, lam = skip["name"], skip.get("lam")
        shown = form in manifest.forms and (lam is None or lam in manifest.lams)
        if shown and cell.column.name in depths and not cell.config.inputs:
            depth = depths[cell.column.name]
            yield Point(model.name, depth, form, lam, cell.seed, at.batches, cell.config, cell.folder, cell.lacks)


def _settings(manifest: Manifest) -> Iterator[tuple[str, float | None, dict]]:
    """(form, λ, configuration node) for every form of the figure and every λ that fits the form's type."""
    for form in manifest.forms:
        try:
            options = {"name": form, **skips.options(form)}
        except ValueError as error:
            raise UserError(f"{manifest.name}: {error}") from error
        if "lam" not in options:
            yield form, None, options
            continue
        kind = type(options["lam"])
        for lam in manifest.lams:
            if kind(lam) == lam:
                yield form, lam, options | {"lam": kind(lam)}
