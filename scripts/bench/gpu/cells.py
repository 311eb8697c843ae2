"""Run as many cells of the small tables as the time allows, several at once on one GPU."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.bench.gpu.sharing import shared_gpu
from skipln.errors import UserError
from skipln.runs.reading import read_state
from skipln.system.places import RESULTS
from skipln.system.processes import interrupting
from skipln.tables import manifest as manifests
from skipln.tables.cells import Cell, cells
from skipln.tables.execution.launching import Failure
from skipln.tables.execution.local import Local
from skipln.tables.store import read_records

TABLES = ("table2", "table1")  # in this order
TOO_LONG = ("cifar10_jpeg",)  # columns whose cells of 48 epochs do not fit into minutes
SAVING = 20.0  # seconds that a stopped run needs to save its state and end


class SideBySide(Local):
    """Runs cells as one-thread processes, `at_once` side by side: a small net alone leaves most of a GPU idle."""

    def __init__(self, at_once: int) -> None:
        super().__init__(threads=1)
        self.at_once = at_once


def planned(
    data: dict[str, Path], scale: str, seeds: Sequence[int], extra: Sequence[str] = (), columns: Sequence[str] = ()
) -> list[Cell]:
    """The cells without a record of the tables whose data is given ({table: data.dir}), table by table and seed by
    seed, in the named `columns` or in all but those that take too long."""
    found: list[Cell] = []
    recorded: set[str] = set()
    for table in TABLES:
        if table in data:
            where = [f"data.dir={data[table].resolve()}"] if scale == "small" else []
            found += cells(manifests.load(table), scale, seeds, [*where, *extra], cache=None)
            recorded |= {record.hash for record in read_records(RESULTS / scale / table)}
    there = {cell.column.name for cell in found}
    if unknown := [name for name in columns if name not in there]:
        raise UserError(f"no column {unknown[0]}: choose from {', '.join(sorted(there))}")
    chosen = columns or there.difference(TOO_LONG)
    return [cell for cell in found if cell.column.name in chosen and cell.hash not in recorded]


def run_cells(chosen: Sequence[Cell], seconds: float, at_once: int) -> dict[str, Any]:
    """Run cells until they are done or the time is up; a stopped run continues when it is started again.

    Return the state of each; the folders of the finished ones are the runs themselves.
    """
    launcher = SideBySide(at_once)
    shared = False
    todo = [cell for cell in chosen if read_state(cell.folder).result is None]
    failures: list[Failure] = []
    timer = threading.Timer(seconds - SAVING, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    try:
        if todo and seconds > SAVING:
            # The handler is installed before the timer starts, so that its signal always finds one.
            with shared_gpu() as shared, interrupting():
                timer.start()
                failures = launcher(todo, len(chosen))
    except KeyboardInterrupt:
        print("time is up: the running cells have saved their state", file=sys.stderr)
    finally:
        timer.cancel()
    states = {cell.hash: f"{cell.table} {cell.describe()}: {read_state(cell.folder).state}" for cell in chosen}
    reasons = [f"{failure.cell.describe()}: {failure.message}" for failure in failures]
    return {"at_once": at_once, "shared_gpu": shared, "cells": states, "failures": reasons}
