"""A table's numbers: means over seeds, differences with corrected p-values, diverged runs. No formatting."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from skipln.tables.manifest import Column, Manifest, Published, Row
from skipln.tables.metrics import Metric
from skipln.tables.statistics.comparisons import compared
from skipln.tables.statistics.runs import LEVEL, RunsTest, over_runs
from skipln.tables.statistics.significance import Difference, holm
from skipln.tables.store import Record

SPEEDS = {"tokens_per_second": "tokens/s", "images_per_second": "images/s"}


@dataclass(frozen=True)
class Mean:
    """The mean over `n` seeds. `std`: the sample standard deviation, None for one seed."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Entry:
    """One row in one column. `difference`: from the row named `baseline`, in the first metric.

    test: tests that difference over runs; `adjusted` is its p after Holm. Both are None with too few runs, or if one
    diverged. comparison and `adjusted_examples`: the same over test examples.
    """

    row: Row
    baseline: str
    records: list[Record]
    values: dict[str, Mean]
    diverged: int
    difference: float | None
    test: RunsTest | None
    adjusted: float | None
    comparison: Difference | None
    adjusted_examples: float | None
    parameters: int | None
    speed: float | None
    published: Published | None
    milliseconds: float | None = None  # of an update
    kept: float | None = None  # bytes that a micro-batch keeps for its backward pass
    peak: float | None = None  # bytes on a GPU

    @property
    def settings(self) -> list[str]:
        """The values that the search chose, run by run, such as "0.1" for optim.lr."""
        chosen = {record.chosen for record in self.records if record.state == "done"}
        found = [one.settings.values() for record in self.records for one in record.compared if one.hash in chosen]
        return [", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values) for values in found]

    @property
    def compared(self) -> tuple[int, int]:
        """(number of diverged runs, number of runs) of its searches."""
        found = [candidate for record in self.records for candidate in record.compared]
        return sum(candidate.state == "diverged" for candidate in found), len(found)

    @property
    def arithmetic(self) -> list[str]:
        """The precisions of the runs behind the means, each once; the table shows them if there is more than one."""
        return list(dict.fromkeys(record.arithmetic for record in self.records if record.state == "done"))

    @property
    def is_baseline(self) -> bool:
        return self.row.name == self.baseline

    @property
    def significant(self) -> bool:
        """Whether a test over runs supports the difference; no other test makes it bold."""
        return self.adjusted is not None and self.adjusted < LEVEL


@dataclass(frozen=True)
class Block:
    """One column of the manifest with all its rows."""

    column: Column
    metrics: list[Metric]
    entries: list[Entry]

    @property
    def records(self) -> list[Record]:
        return [record for entry in self.entries for record in entry.records]

    @property
    def lacks_data(self) -> bool:
        """Whether the column needs data that only a user can give and has no runs."""
        return bool(self.column.needs) and not self.records

    @property
    def speed_label(self) -> str:
        return next((label for key, label in SPEEDS.items() if any(_has(r, key) for r in self.records)), "tokens/s")


@dataclass(frozen=True)
class Summary:
    """A table at one scale."""

    manifest: Manifest
    scale: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        return [record for block in self.blocks for record in block.records]


def summarise(manifest: Manifest, scale: str, records: Sequence[Record], examples: Mapping[str, np.ndarray]) -> Summary:
    """Compute the table's numbers from its records and the statistics of their test examples, by run hash.

    Rows without a run get empty entries.
    """
    return Summary(
        manifest, scale, [_block(manifest, scale, column, records, examples) for column in manifest.columns_at(scale)]
    )


def _block(
    manifest: Manifest, scale: str, column: Column, records: Sequence[Record], examples: Mapping[str, np.ndarray]
) -> Block:
    metrics = manifest.metrics_of(column)
    rows = manifest.rows_of(scale, column)
    runs = {row.name: [r for r in records if (r.row, r.column) == (row.name, column.name)] for row in rows}
    beside = {row.name: manifest.baseline_of(row) for row in rows}
    others = {name: baseline for name, baseline in beside.items() if name != baseline}
    found = {name: compared(metrics[0], runs[name], runs.get(other, []), examples) for name, other in others.items()}
    tested = {name: item for name, item in found.items() if item is not None}
    adjusted_examples = _adjusted({name: item.p for name, item in tested.items()})
    first = metrics[0].key
    over = {row.name: _over_runs(runs, row.name, beside[row.name], first) for row in rows}
    adjusted = _adjusted({name: test.p for name, test in over.items() if test})
    entries = []
    for row in rows:
        values = {metric.key: mean for metric in metrics if (mean := _mean(runs[row.name], metric.key))}
        baseline = _mean(runs.get(beside[row.name], []), first)
        comparable = baseline is not None and first in values and row.name in others
        entries.append(
            Entry(
                row=row,
                baseline=beside[row.name],
                records=runs[row.name],
                values=values,
                diverged=sum(record.state == "diverged" for record in runs[row.name]),
                difference=values[first].mean - baseline.mean if comparable and baseline else None,
                test=over[row.name],
                adjusted=adjusted.get(row.name),
                comparison=tested.get(row.name),
                adjusted_examples=adjusted_examples.get(row.name),
                parameters=next((r.parameters for r in runs[row.name] if r.parameters), None),
                speed=_speed(runs[row.name]),
                published=row.published.get(column.name),
                milliseconds=_cost(manifest, runs[row.name], "seconds_per_update", 1e3),
                kept=_cost(manifest, runs[row.name], "kept_bytes"),
                peak=_cost(manifest, runs[row.name], "peak_bytes"),
            )
        )
    return Block(column, metrics, entries)


def _adjusted(p: dict[str, float]) -> dict[str, float]:
    return dict(zip(p, holm(list(p.values())), strict=True))


def _over_runs(runs: dict[str, list[Record]], row: str, baseline: str, metric: str) -> RunsTest | None:
    """The test over runs; None also if a run diverged, because the remaining ones are not a sample of all."""
    sides = [runs[row], runs.get(baseline, [])]
    if row == baseline or any(record.state == "diverged" for side in sides for record in side):
        return None
    system, other = ([v for r in side if (v := r.measured(metric)) is not None] for side in sides)
    return over_runs(system, other)


def _mean(records: Sequence[Record], metric: str) -> Mean | None:
    values = [v for record in records if record.state == "done" and (v := record.measured(metric)) is not None]
    if not values:
        return None
    return Mean(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def _speed(records: Sequence[Record]) -> float | None:
    speeds = [getattr(record, key) for record in records for key in SPEEDS if _has(record, key)]
    return statistics.fmean(speeds) if speeds else None


def _cost(manifest: Manifest, records: Sequence[Record], key: str, factor: float = 1.0) -> float | None:
    """The mean over runs, if the table shows what an update costs."""
    found = [getattr(record, key) for record in records if _has(record, key)]
    return factor * statistics.fmean(found) if found and manifest.costs == "per_update" else None


def _has(record: Record, key: str) -> bool:
    return getattr(record, key) is not None
