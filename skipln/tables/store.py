"""The committed files in results/<scale>/<table>/: {records,curves,comparisons}.jsonl, one JSON object a line."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from skipln.errors import UserError
from skipln.files import atomic_write
from skipln.runs.reading import Result

_FIRST = ("table", "row", "column", "seed", "hash")  # what a reader of the raw lines looks for


class Record(Result):
    """A finished run: its cell, the overrides that start it anywhere, its configuration, and its result.json."""

    table: str
    row: str
    column: str
    seed: int
    overrides: list[str]
    config: dict[str, Any] = Field(default_factory=dict)

    @property
    def environments(self) -> list[dict[str, Any]]:
        """What its updates were made with: one place, or several where it was stopped and went on elsewhere."""
        earlier = self.environment.get("earlier")
        return [*(before for before in earlier or [] if isinstance(before, dict)), self.environment]

    @property
    def arithmetic(self) -> str:
        """Such as "fp32", "bf16, compiled" or, of a run that went on elsewhere, "bf16 then fp32"."""
        asked = str(self.config.get("precision", {}).get("name", "auto"))
        if asked == "auto" and self.config.get("engine") == "fairseq" and self.environment.get("device") == "cpu":
            asked = "fp32"  # the only one that fairseq has there
        otherwise = "precision=auto, not recorded which" if asked == "auto" else asked
        return " then ".join(
            dict.fromkeys(
                f"{made.get('precision') or otherwise}{', compiled' if made.get('compiled') else ''}"
                for made in self.environments
            )
        )


class Curves(BaseModel):
    """A run's thinned series: groups of metrics that were logged at the same updates (`series.thinned`)."""

    model_config = ConfigDict(extra="forbid")

    hash: str
    groups: list[dict[str, list[int | float | None]]]


class Comparison(BaseModel):
    """A row minus the baseline in one column, with its test. `runs`: the hashes of both sides, which it holds for."""

    model_config = ConfigDict(extra="forbid")

    row: str
    column: str
    metric: str
    baseline: str
    seeds: list[int]
    runs: list[str]
    difference: float
    low: float
    high: float
    p: float
    method: str
    resamples: int


Line = TypeVar("Line", Record, Curves, Comparison)


def read_records(folder: Path) -> list[Record]:
    """The committed records, none when there are none. Raises UserError when a line is damaged."""
    return _read(folder / "records.jsonl", Record)


def read_curves(folder: Path) -> dict[str, Curves]:
    """The committed curves by hash of run; errors as `read_records`."""
    return {curves.hash: curves for curves in _read(folder / "curves.jsonl", Curves)}


def read_comparisons(folder: Path) -> list[Comparison]:
    """The committed comparisons with the baseline; errors as `read_records`."""
    return _read(folder / "comparisons.jsonl", Comparison)


def write(folder: Path, records: Iterable[Record], curves: Iterable[Curves], comparisons: Iterable[Comparison]) -> None:
    """Write the three files, each whole or not at all."""
    _write(folder / "records.jsonl", records)
    _write(folder / "curves.jsonl", curves)
    _write(folder / "comparisons.jsonl", comparisons)


def _read(path: Path, kind: type[Line]) -> list[Line]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            found.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise UserError(
                f"{path}, line {number}: damaged; restore it with git, or remove the file and make the table again"
            ) from error
    return found


def _write(path: Path, lines: Iterable[BaseModel]) -> None:
    with atomic_write(path, "w") as file:
        for line in lines:
            content = line.model_dump(exclude_unset=True)
            ordered = {key: content[key] for key in _FIRST if key in content} | content
            file.write(json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")
