"""Runs that have curves but no record: running, stopped, or finished since the table was last made."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from skipln.runs.reading import RunState, read_metrics, read_state
from skipln.tables.cells import Cell
from skipln.tables.series import thinned
from skipln.tables.store import Curves


@dataclass(frozen=True)
class Live:
    """A cell, the state of its run, and its curves so far."""

    cell: Cell
    standing: RunState
    curves: Curves

    @property
    def unfinished(self) -> bool:
        return self.standing.result is None

    def describe(self) -> str:
        """The state in words, such as "running at update 400 of 2,600"."""
        return f"{self.standing.state} at update {self.standing.update:,} of {self.cell.updates:,}"


def live(cells: Sequence[Cell], recorded: Collection[str]) -> list[Live]:
    """The runs of `cells` that have logged something and whose hash is not in `recorded`."""
    found = []
    for cell in cells:
        if cell.hash not in recorded and (groups := thinned(read_metrics(cell.folder))):
            found.append(Live(cell, read_state(cell.folder), Curves(hash=cell.hash, groups=groups)))
    return found
