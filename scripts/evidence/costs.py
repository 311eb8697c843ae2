"""How many of its planned runs a table has, and what the paper's scale would cost."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skipln.tables import manifest as manifests
from skipln.tables import store
from skipln.tables.cells import cells
from skipln.tables.execution.cost import gpu_hours
from skipln.tables.manifest import Manifest, Scale
from skipln.tables.store import Record


@dataclass(frozen=True)
class Standing:
    """A table at one scale. least: the number of runs of the cell with the fewest, among those with any. seed_hours:
    what one more seed of every begun cell takes, as its records say. hours: the GPU-hours of the unpublished runs, only
    at scale paper."""

    table: str
    scale: str
    cells: int
    begun: int
    runs: int
    least: int
    seed_hours: float
    examples_bytes: int
    hours: float | None


def standings(results: Path, experiments: Path) -> Iterator[Standing]:
    """Every table at every scale with columns, except `test`, which only shows that everything works."""
    for name in manifests.names(experiments):
        manifest = manifests.load(name, experiments)
        for scale in ("demo", "small", "paper"):
            if columns := manifest.columns_at(scale):
                folder = results / scale / name
                records = store.read_records(folder)
                found = Counter((record.row, record.column) for record in records)
                yield Standing(
                    table=name,
                    scale=scale,
                    cells=sum(len(manifest.rows_of(scale, column)) for column in columns),
                    begun=len(found),
                    runs=len(records),
                    least=min(found.values(), default=0),
                    seed_hours=sum(hours_of(one) / found[one.row, one.column] for one in records),
                    examples_bytes=store.examples_bytes(folder),
                    hours=_hours(manifest, scale, {record.hash for record in records}) if scale == "paper" else None,
                )


def hours_of(record: Record) -> float:
    """Training and test; the runs of a search count as much as the chosen one."""
    return (record.train_seconds * max(1, len(record.compared)) + record.test_seconds) / 3600


def _hours(manifest: Manifest, scale: Scale, published: set[str]) -> float:
    planned = [run for cell in cells(manifest, scale, None) if cell.hash not in published for run in cell.runs]
    return sum(gpu_hours(run, [])[0] for run in planned)
