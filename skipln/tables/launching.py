"""The seam between a table and what executes its runs: this machine now, a cluster's queue later."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from skipln.tables.cells import Cell


@dataclass(frozen=True)
class Failure:
    """A run that gave no result, and why, in one line."""

    cell: Cell
    message: str


class Launcher(Protocol):
    """Executes runs. A launcher that only queues them returns at once, with no failures."""

    def command(self, cell: Cell) -> list[str]:
        """The command that `cell` runs, as --dry-run prints it."""

    def __call__(self, cells: Sequence[Cell], total: int) -> list[Failure]:
        """Run `cells`, the unfinished ones of a table of `total`; report those that failed.

        Raises KeyboardInterrupt when stopped.
        """


def say(text: str) -> None:
    """A line for the person who waits, on stderr: stdout is for the table."""
    print(text, file=sys.stderr, flush=True)
