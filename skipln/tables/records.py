"""From run folders to the committed records of a table, from which everything else in results/ is rendered."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skipln.runs.reading import read_metrics
from skipln.runs.result import Result, read_result
from skipln.runs.sums import unchanged
from skipln.tables import store
from skipln.tables.cells import Cell
from skipln.tables.manifest import Manifest
from skipln.tables.series import thinned
from skipln.tables.statistics.comparisons import compare
from skipln.tables.store import Curves, Record

log = logging.getLogger(__name__)


def collect(manifest: Manifest, cells: Sequence[Cell], folder: Path) -> list[Record]:
    """Update the three files in `folder` from the run folders of `cells`; return the records, in the table's order.

    A cell without a run folder keeps its earlier record while the hash is still its own, or takes over that of another
    table. Records of cells that are gone, or whose configuration changed, are dropped with a line in the log. `cells`
    must hold every seed that has a record already (`recorded_seeds`).
    """
    earlier = {record.hash: record for record in store.read_records(folder)}
    known, known_curves = dict(earlier), store.read_curves(folder)
    for record, drawn in adoptable(folder).values():
        known[record.hash] = record
        known_curves |= {drawn.hash: drawn} if drawn else {}
    records: list[Record] = []
    curves: list[Curves] = []
    folders: dict[str, Path] = {}
    for cell in _in_order(manifest, cells):
        result = read_result(cell.folder)
        if result is not None:
            records.append(_record(cell, result))
            files = (result.model_extra or {}).get("files")
            if unchanged(cell.folder / "metrics.jsonl", files):
                curves.append(Curves(hash=cell.hash, groups=thinned(read_metrics(cell.folder))))
            elif cell.hash in known_curves:
                curves.append(known_curves[cell.hash])
            if unchanged(cell.folder / "examples.npy", files):
                folders[cell.hash] = cell.folder
        elif cell.hash in known:
            records.append(known[cell.hash].model_copy(update={**_place(cell), "table": known[cell.hash].table}))
            curves.extend([known_curves[cell.hash]] if cell.hash in known_curves else [])
    kept = {record.hash for record in records}
    for record in earlier.values():
        if record.hash not in kept:
            where = f"{manifest.name}, {record.row}, {record.column}, seed {record.seed}"
            log.warning("%s: run %s left the table, as its configuration is no longer this cell's", where, record.hash)
    store.write(folder, records, curves, compare(manifest, records, folders, store.read_comparisons(folder)))
    return records


def adoptable(folder: Path) -> dict[str, tuple[Record, Curves | None]]:
    """By hash, the committed runs that the other tables of this scale made: what they did is not done twice.

    A record's `table` is the one that made it, so one that was taken over is nobody's to take over again.
    """
    found: dict[str, tuple[Record, Curves | None]] = {}
    for place in sorted(path.parent for path in folder.parent.glob("*/records.jsonl") if path.parent != folder):
        curves = store.read_curves(place)
        made = (record for record in store.read_records(place) if record.table == place.name)
        found |= {record.hash: (record, curves.get(record.hash)) for record in made}
    return found


def recorded_seeds(folder: Path) -> set[int]:
    """The seeds that the committed records have."""
    return {record.seed for record in store.read_records(folder)}


def _record(cell: Cell, result: Result) -> Record:
    own = {**_place(cell), "config": cell.public_config}  # last: a result may have keys of any name
    return Record.model_validate({**result.content(), **own})


def _place(cell: Cell) -> dict[str, Any]:
    place = {"table": cell.table, "row": cell.row.name, "column": cell.column.name, "seed": cell.seed}
    return {**place, "overrides": list(cell.shared)}


def _in_order(manifest: Manifest, cells: Sequence[Cell]) -> list[Cell]:
    rows = {row.name: place for place, row in enumerate(manifest.rows)}
    columns = {name: place for place, name in enumerate(dict.fromkeys(cell.column.name for cell in cells))}
    return sorted(cells, key=lambda cell: (rows[cell.row.name], columns[cell.column.name], cell.seed))
