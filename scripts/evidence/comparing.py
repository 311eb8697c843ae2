"""Check each claim against every published table: pairs of rows, tested over runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from skipln.errors import UserError
from skipln.tables import manifest as manifests
from skipln.tables import store
from skipln.tables.manifest import Column, Line, Manifest, Name, Node, Row
from skipln.tables.metrics import Metric
from skipln.tables.statistics.runs import FEWEST, LEVEL, RunsTest, over_runs
from skipln.tables.statistics.significance import holm
from skipln.tables.store import Record

Says = Literal["for", "against", "open", "too few runs"]


class Claim(Node):
    """A claim of the paper, its source, and pairs of rows; the first of a pair should be better or worse."""

    name: Name
    claim: Line
    source: Line
    expect: Literal["better", "worse"]
    pairs: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    beside: str


class Claims(Node):
    name: Name
    claims: list[Claim]


@dataclass(frozen=True)
class Comparison:
    """A pair of rows in one column of a published table: the first minus the second, in the metric's unit.

    p: two-sided, from Welch's t-test over runs or, if a run diverged, from Fisher's exact test of how many did.
    adjusted: p after Holm's correction over the claim's comparisons.
    """

    claim: Claim
    table: str
    scale: str
    column: Column
    metric: Metric
    rows: tuple[Row, Row]
    runs: tuple[list[Record], list[Record]]
    test: RunsTest | None = None
    p: float | None = None
    adjusted: float | None = None

    @property
    def n(self) -> tuple[int, int]:
        return len(self.runs[0]), len(self.runs[1])

    @property
    def diverged(self) -> tuple[int, int]:
        first, second = (sum(record.state == "diverged" for record in side) for side in self.runs)
        return first, second

    @property
    def says(self) -> Says:
        if min(self.n) < FEWEST:
            return "too few runs"
        if self.adjusted is None or self.adjusted >= LEVEL:
            return "open"
        return "for" if self._better == (self.claim.expect == "better") else "against"

    @property
    def _better(self) -> bool:
        if self.test is None:
            return self.diverged[0] * self.n[1] < self.diverged[1] * self.n[0]
        return (self.test.difference > 0) == (self.metric.better == "higher")


def claims(experiments: Path) -> list[Claim]:
    return manifests.read(experiments / "claims.yaml", Claims).claims


def comparisons(results: Path, experiments: Path) -> list[Comparison]:
    """Every claim's comparisons, tested. A pair whose runs are all among those of a table before counts once.

    Raises UserError for the records of a table without a manifest.
    """
    folders = [path.parent for path in results.glob("*/*/records.jsonl")]
    order = {name: place for place, name in enumerate(manifests.names(experiments))}
    scales = {name: place for place, name in enumerate(manifests.SCALES)}
    for folder in folders:
        if folder.parent.name not in scales or folder.name not in order:
            raise UserError(f"{folder}: no manifest has such a table; remove the folder, or restore its manifest")
    folders.sort(key=lambda folder: (-scales[folder.parent.name], order[folder.name]))
    tables = [(folder, manifests.load(folder.name, experiments), store.read_records(folder)) for folder in folders]
    found = []
    for claim in claims(experiments):
        seen: list[frozenset[str]] = []
        own = []
        for folder, manifest, records in tables:
            for one in _pairs(claim, folder, manifest, records):
                runs = frozenset(record.hash for side in one.runs for record in side)
                if not any(runs <= other for other in seen):
                    own.append(_tested(one))
                    seen.append(runs)
        found += _adjusted(own)
    return found


def _pairs(claim: Claim, folder: Path, manifest: Manifest, records: Sequence[Record]) -> Iterator[Comparison]:
    scale = folder.parent.name
    trained = [column for column in manifest.columns_at(scale) if column.evaluates is None]
    for column in trained:  # another test set of the same runs is not another comparison
        rows = {row.name: row for row in manifest.rows_of(scale, column)}
        for first, second in claim.pairs:
            sides = tuple([r for r in records if (r.row, r.column) == (name, column.name)] for name in (first, second))
            if first in rows and second in rows and all(sides):
                metric = manifest.metrics_of(column)[0]
                pair = rows[first], rows[second]
                yield Comparison(claim, manifest.name, scale, column, metric, pair, (sides[0], sides[1]))


def _tested(one: Comparison) -> Comparison:
    if min(one.n) < FEWEST:
        return one
    if any(one.diverged):
        from scipy import stats

        counts = [[bad, n - bad] for bad, n in zip(one.diverged, one.n, strict=True)]
        return replace(one, p=float(stats.fisher_exact(counts).pvalue))
    key = one.metric.key
    test = over_runs(*([v for r in side if (v := r.metrics.get(key)) is not None] for side in one.runs))
    return replace(one, test=test, p=test.p if test else None)


def _adjusted(found: list[Comparison]) -> list[Comparison]:
    adjusted = iter(holm([one.p for one in found if one.p is not None]))
    return [one if one.p is None else replace(one, adjusted=next(adjusted)) for one in found]
