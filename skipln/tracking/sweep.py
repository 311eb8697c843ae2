"""A table as a W&B sweep: a grid of cells × seeds, whose agents start the same runs as the table itself.

A swept key overwrites the key of that name in a run's configuration, but a row is a connection together with its
options. Therefore one key, `cell`, names row and column, and the manifest defines them.
"""

import subprocess
from collections.abc import Sequence
from typing import Any

from skipln.configuration.composition import compose
from skipln.configuration.schema import WandbTracker
from skipln.errors import UserError
from skipln.runs.reading import read_config, read_state
from skipln.tables.cells import Cell, cells
from skipln.tables.execution.local import TRAINER
from skipln.tables.manifest import Manifest
from skipln.tables.runner import plan, refuse_lacking

PYTHON = ".venv/bin/python"  # from the repository's root, where `wandb agent` is started


def sweep(
    manifest: Manifest, scale: str, seeds: Sequence[int], extra: Sequence[str], tracker: WandbTracker
) -> dict[str, Any]:
    """The sweep file's content. Raises UserError if a cell does not compose."""
    planned = plan(manifest, scale, seeds, extra)
    refuse_lacking(manifest, scale, planned)
    found: dict[str, Any] = {
        "name": f"{manifest.name} {scale}",
        "description": manifest.title,
        "project": tracker.project,
        "entity": tracker.entity,
        "method": "grid",
        "command": [
            "${env}", PYTHON, "-m", "scripts.tracking.cell", manifest.name, "--scale", scale, *extra,
            "${args_no_hyphens}",
        ],
        "parameters": {
            "seed": {"values": list(seeds)},
            "cell": {"values": list(dict.fromkeys(f"{cell.row.name}@{cell.column.name}" for cell in planned))},
        },
    }  # fmt: skip
    return {key: value for key, value in found.items() if value is not None}


def choose(manifest: Manifest, scale: str, words: Sequence[str]) -> Cell:
    """The cell that an agent requests by cell=ROW@COLUMN and seed=NUMBER in `words`; the other words are overrides.

    Raises UserError if the table has no such cell.
    """
    given = dict(word.split("=", 1) for word in words if word.startswith(("cell=", "seed=")))
    if given.keys() != {"cell", "seed"} or not given["seed"].isdigit():
        raise UserError("give cell=ROW@COLUMN and seed=NUMBER")
    extra = [word for word in words if not word.startswith(("cell=", "seed="))]
    tracking = [] if any(word.startswith("tracker=") for word in extra) else ["tracker=wandb"]
    row, _, column = given["cell"].partition("@")
    needed = {row, *(target for found in manifest.columns.values() for one in found for target in one.targets)}
    needed |= {found.evaluates for found in manifest.rows if found.name == row and found.evaluates}
    few_rows = manifest.model_copy(update={"rows": [found for found in manifest.rows if found.name in needed]})
    planned = cells(few_rows, scale, [int(given["seed"])], [*extra, *tracking])
    for cell in planned:
        if (cell.row.name, cell.column.name) == (row, column):
            return cell
    rows, columns = (found.name for found in manifest.rows), (found.name for found in manifest.columns_at(scale))
    raise UserError(
        f"{manifest.name} has no cell {given['cell']}: a row is one of {', '.join(rows)}; "
        f"a column, {', '.join(columns)}"
    )


def make(cell: Cell) -> None:
    """Train `cell`; if it is already finished, send its results to the agent's run.

    Raises UserError if the run fails.
    """
    if read_state(cell.folder).result is not None:
        from skipln.tracking.sync import Run, send

        tracker = compose(list(cell.overrides)).tracker
        if isinstance(tracker, WandbTracker):
            send(Run(cell.folder, read_config(cell.folder), tracker.group, tuple(tracker.tags)), tracker)
        return
    status = subprocess.run([*TRAINER, *cell.overrides], check=False).returncode
    if status:
        raise UserError(f"{cell.describe()}: exit status {status}")
