"""The seam between a table and what executes its runs: this machine, or a cluster's queue."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tqdm import tqdm

from skipln.runs.reading import read_state
from skipln.system.progress import progress_bar
from skipln.tables.cells import Cell


@dataclass(frozen=True)
class Failure:
    """A run that gave no result, and why, in one line."""

    cell: Cell
    message: str


class Launcher(Protocol):
    """Executes runs, and waits for them."""

    def command(self, cell: Cell) -> list[str]:
        """The command that `cell` runs, as --dry-run prints it."""

    def __call__(self, cells: Sequence[Cell], total: int) -> list[Failure]:
        """Run `cells`, the unfinished ones of a table of `total`; report those that failed.

        Raises KeyboardInterrupt when stopped.
        """


def say(text: str) -> None:
    """A line for the person who waits, on stderr: stdout is for the table."""
    print(text, file=sys.stderr, flush=True)


def bar_of(cells: Sequence[Cell]) -> tqdm:
    """One bar for the updates of all `cells`."""
    return progress_bar(sum(cell.updates for cell in cells), "update")


def show(bar: tqdm, cells: Sequence[Cell]) -> None:
    """Set the bar to the updates made; a run that ended early counts as whole."""
    states = [read_state(cell.folder) for cell in cells]
    made = sum(
        cell.updates if state.result else min(state.update, cell.updates)
        for cell, state in zip(cells, states, strict=True)
    )
    if bar.n == 0 and made:  # what an earlier session made tells nothing about the pace of this one
        bar.initial = bar.n = bar.last_print_n = made
    bar.update(made - bar.n)
