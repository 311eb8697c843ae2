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
    """A run without a result, and the reason in one line."""

    cell: Cell
    message: str


class Launcher(Protocol):
    """Executes runs and waits for them."""

    def command(self, cell: Cell) -> list[str]:
        """The command that runs `cell`, as --dry-run prints it."""

    def __call__(self, cells: Sequence[Cell], total: int) -> list[Failure]:
        """Run `cells`, the unfinished ones among a table's `total`; return those that failed.

        Raises KeyboardInterrupt when stopped.
        """


def say(text: str) -> None:
    """Print a line for the waiting user on stderr; stdout is for the table."""
    print(text, file=sys.stderr, flush=True)


def bar_of(cells: Sequence[Cell]) -> tqdm:
    """One bar for the updates of all `cells`."""
    return progress_bar(sum(cell.updates for cell in cells), "update")


def show(bar: tqdm, cells: Sequence[Cell]) -> None:
    """Set the bar to the updates made; a run that ended early counts in full."""
    states = [read_state(cell.folder) for cell in cells]
    made = sum(
        cell.updates if state.result else min(state.update, cell.updates)
        for cell, state in zip(cells, states, strict=True)
    )
    if bar.n == 0 and made:  # updates of earlier sessions say nothing about the pace of this one
        bar.initial = bar.n = bar.last_print_n = made
    bar.update(made - bar.n)
