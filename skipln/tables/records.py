"""Read run folders into the records that a table keeps; everything else is rendered from these."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skipln.runs.reading import read_examples, read_metrics
from skipln.runs.result import Result, read_result
from skipln.runs.sums import unchanged
from skipln.tables import store
from skipln.tables.cells import Cell
from skipln.tables.manifest import Manifest
from skipln.tables.series import thinned
from skipln.tables.store import Curves, Kept, Record

log = logging.getLogger(__name__)


def collect(manifest: Manifest, cells: Sequence[Cell], folder: Path) -> list[Record]:
    """Update what `folder` keeps from the run folders of `cells`; return the records, in the table's order.

    A cell without a run folder keeps its earlier record if the hash still matches, or takes over another table's.
    Records of cells that are gone, or whose configuration changed, are dropped with a line in the log. `cells` must
    include every seed that already has a record (`recorded_seeds`).
    """
    earlier = store.read(folder)
    kept = gather(manifest, cells, [adoptable(folder), earlier])
    hashes = {record.hash for record in kept.records}
    for record in earlier.records:
        if record.hash not in hashes:
            where = f"{manifest.name}, {record.row}, {record.column}, seed {record.seed}"
            log.warning("%s: run %s left the table: its configuration is no longer this cell's", where, record.hash)
    store.write(folder, kept)
    return kept.records


def gather(manifest: Manifest, cells: Sequence[Cell], known: Sequence[Kept]) -> Kept:
    """What to keep of `cells`: the content of their run folders, else that of the first of `known` that has the run.

    Measurements that changed in a run folder after the run ended are taken from `known`, or left out.
    """
    earlier = [{record.hash: record for record in one.records} for one in known]
    found = Kept()
    for cell in _in_order(manifest, cells):
        result = read_result(cell.folder)
        if result is not None:
            record: Record | None = _record(cell, result)
        else:
            taken = next((one[cell.hash] for one in earlier if cell.hash in one), None)
            record = taken and taken.model_copy(update={**_place(cell), "table": taken.table})
        if record is None:
            continue
        found.records.append(record)
        curves, examples = _measured(cell, result) if result else (None, None)
        for one in known:
            curves = one.curves.get(cell.hash) if curves is None else curves
            examples = one.examples.get(cell.hash) if examples is None else examples
        found.curves |= {cell.hash: curves} if curves is not None else {}
        found.examples |= {cell.hash: examples} if examples is not None else {}
    return found


def _measured(cell: Cell, result: Result) -> tuple[Curves | None, np.ndarray | None]:
    """The curves and the examples' statistics of a finished run; None for a file that changed since."""
    files = (result.model_extra or {}).get("files")
    trained, logged = cell.folder, files
    if result.chosen:  # after a search, the curves are those of the chosen run
        trained = cell.folder.parent / result.chosen
        chosen = read_result(trained)
        logged = (chosen.model_extra or {}).get("files") if chosen else None
    whole = unchanged(trained / "metrics.jsonl", logged)
    curves = Curves(hash=cell.hash, groups=thinned(read_metrics(trained))) if whole else None
    return curves, read_examples(cell.folder) if unchanged(cell.folder / "examples.npy", files) else None


def adoptable(folder: Path) -> Kept:
    """The runs that the other tables of this scale made, so that none is made twice.

    A record's `table` is the table that made it, so a record that was taken over is not taken over again.
    """
    found = Kept()
    for place in sorted(path.parent for path in folder.parent.glob("*/records.jsonl") if path.parent != folder):
        kept = store.read(place)
        found.records += [record for record in kept.records if record.table == place.name]
        found.curves |= kept.curves
        found.examples |= kept.examples
    return found


def recorded_seeds(folder: Path) -> set[int]:
    """The seeds of the committed records."""
    return {record.seed for record in store.read_records(folder)}


def _record(cell: Cell, result: Result) -> Record:
    own = {**_place(cell), "config": cell.public_config}  # last, because a result may have keys of any name
    return Record.model_validate({**result.content(), **own})


def _place(cell: Cell) -> dict[str, Any]:
    place = {"table": cell.table, "row": cell.row.name, "column": cell.column.name, "seed": cell.seed}
    return {**place, "overrides": list(cell.shared)}


def _in_order(manifest: Manifest, cells: Sequence[Cell]) -> list[Cell]:
    rows = {row.name: place for place, row in enumerate(manifest.rows)}
    columns = {name: place for place, name in enumerate(dict.fromkeys(cell.column.name for cell in cells))}
    return sorted(cells, key=lambda cell: (rows[cell.row.name], columns[cell.column.name], cell.seed))
