"""The committed files in results/<scale>/<table>/: {records,curves,comparisons}.jsonl, one JSON object a line."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from skipln.errors import UserError
from skipln.report.provenance import arithmetic
from skipln.runs.result import Checked, Count, Result, reason
from skipln.system.files import atomic_write
from skipln.system.printing import one_line
from skipln.system.strict_json import loads

MEND = "restore it with git, or remove the file and make the table again"
ROUNDING = 1e-6  # of a comparison's numbers
_FIRST = ("table", "row", "column", "seed", "hash")  # what a reader of the raw lines looks for


def _of_one_length(group: dict[str, list]) -> dict[str, list]:
    if "update" not in group or len({len(values) for values in group.values()}) > 1:
        raise ValueError("a group has as many values of each metric as updates")
    return group


class Record(Result):
    """A finished run: its cell, the overrides that start it anywhere, its configuration, and its result.json."""

    table: str
    row: str
    column: str
    seed: Count
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
        return " then ".join(dict.fromkeys(arithmetic(made, otherwise) for made in self.environments))


class Curves(Checked):
    """A run's thinned series: groups of metrics that were logged at the same updates (`series.thinned`)."""

    model_config = ConfigDict(extra="forbid")

    hash: str
    groups: list[Annotated[dict[str, list[int | float | None]], AfterValidator(_of_one_length)]]


class Comparison(Checked):
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
    resamples: Count

    def holds_for(self, runs: Sequence[Record], baseline: Sequence[Record]) -> bool:
        """Whether it is of these finished runs and of what they measured: a run made again may measure something else,
        on another machine or of other data."""
        if self.runs != [record.hash for record in (*runs, *baseline)]:
            return False
        left, right = ([v for r in side if (v := r.metrics.get(self.metric)) is not None] for side in (runs, baseline))
        return bool(left and right) and abs(fmean(left) - fmean(right) - self.difference) <= ROUNDING


Line = TypeVar("Line", Record, Curves, Comparison)


def read_records(folder: Path) -> list[Record]:
    """The committed records, none when there are none.

    Raises UserError when a line is damaged, a finished run's metric is no number, or a run or cell is there twice.
    """
    path, records = folder / "records.jsonl", _read(folder / "records.jsonl", Record)
    places: dict[tuple, int] = {}
    for number, record in enumerate(records, 1):
        if bad := [key for key, value in record.metrics.items() if value is None or not math.isfinite(value)]:
            raise UserError(f"{path}: {bad[0]} of run {record.hash} is no number; {MEND}")
        for place in ((record.hash,), (record.row, record.column, record.seed)):
            if (before := places.setdefault(place, number)) != number:
                raise UserError(f"{path}: records {before} and {number} are of the same run; {MEND}")
    return records


def read_curves(folder: Path) -> dict[str, Curves]:
    """The committed curves by hash of run; errors as `read_records`."""
    return {curves.hash: curves for curves in _read(folder / "curves.jsonl", Curves)}


def read_comparisons(folder: Path) -> list[Comparison]:
    """The committed comparisons with the baseline; errors as `read_records`."""
    return _read(folder / "comparisons.jsonl", Comparison)


def write(folder: Path, records: Iterable[Record], curves: Iterable[Curves], comparisons: Iterable[Comparison]) -> None:
    """Write the three files, each whole or not at all; at no moment does one hold a comparison of other records."""
    comparisons, earlier = list(comparisons), read_comparisons(folder)
    if kept := [item for item in earlier if item in comparisons]:
        _write(folder / "comparisons.jsonl", kept)
    else:
        (folder / "comparisons.jsonl").unlink(missing_ok=True)
    _write(folder / "records.jsonl", records)
    _write(folder / "curves.jsonl", curves)
    _write(folder / "comparisons.jsonl", comparisons)


def _read(path: Path, kind: type[Line]) -> list[Line]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            found.append(kind.model_validate(loads(line)))
        except ValueError as error:
            raise UserError(f"{path}, line {number}: damaged ({one_line(reason(error))}); {MEND}") from error
    return found


def _write(path: Path, lines: Iterable[BaseModel]) -> None:
    with atomic_write(path, "w") as file:
        for line in lines:
            content = line.model_dump(exclude_unset=True)
            ordered = {key: content[key] for key in _FIRST if key in content} | content
            file.write(json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")
