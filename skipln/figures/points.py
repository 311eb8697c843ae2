"""Which nets a figure needs: connection × λ × model × depth × seed, each with its configuration."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skipln import skips
from skipln.configuration.composition import compose
from skipln.configuration.schema import RunConfig
from skipln.errors import UserError
from skipln.figures.manifest import Manifest


@dataclass(frozen=True)
class Point:
    """One net. lam: its λ, None where the connection has none. batches: how many are measured."""

    model: str
    depth: int
    form: str
    lam: float | None
    seed: int
    batches: int
    config: RunConfig

    @property
    def path(self) -> Path:
        """Where its measurement is kept; the configuration's hash names it."""
        return Path(self.config.paths.runs) / "figures" / f"{self.config.hash}-{self.batches}.json"

    def describe(self) -> str:
        """Such as "rskip_ln λ=2, preact_resnet 56, seed 1"."""
        return f"{label(self.form, self.lam)}, {self.model} {self.depth}, seed {self.seed}"


def label(form: str, lam: float | None) -> str:
    return form if lam is None else f"{form} λ={lam:g}"


def points(manifest: Manifest, scale: str) -> list[Point]:
    """Every net of `manifest` at `scale`: seed by seed, and the sizes mixed, so that the time left can be told.

    Raises UserError for a configuration that does not compose.
    """
    at = manifest.at(scale)
    shared = [f"scale={scale}", *at.overrides, f"compute.threads={at.threads}"]
    sizes = {
        (model.name, depth): compose([*shared, *model.overrides, *overrides])
        for model in at.models
        for depth, overrides in model.depths.items()
    }
    return [
        Point(model, depth, form, lam, seed, at.batches, config.model_copy(update={"seed": seed, "skip": skip}))
        for seed in range(1, at.seeds + 1)
        for form, lam, skip in _settings(manifest)
        for (model, depth), config in sizes.items()
    ]


def _settings(manifest: Manifest) -> Iterator[tuple[str, float | None, dict]]:
    """(form, λ, its node of the configuration) of every form of the figure, with each λ of its type."""
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
