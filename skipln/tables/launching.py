"""The seam between a table and what executes its runs: this machine now, a cluster's queue later."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from skipln.tables.cells import Cell
from skipln.tables.runfolder import Result


@dataclass(frozen=True)
class Failure:
    """A run that gave no result, and why, in one line."""

    cell: Cell
    message: str


@dataclass
class Watch:
    """Counts a table's runs and estimates the time left from those that finished (in seconds of wall time)."""

    total: int
    columns: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def finished(self, cell: Cell, result: Result) -> None:
        """Learn from a finished run. A diverged one ended early and tells nothing about the others."""
        if result.state == "done":
            self.seconds.setdefault(cell.column.name, []).append(result.train_seconds + result.test_seconds)

    def line(self, cell: Cell, left: Sequence[Cell]) -> str:
        """What is printed before `cell` starts, such as "[3/7] rSkip+LN λ=2, seed 1 · about 9 min left"."""
        text = f"[{self.total - len(left) + 1}/{self.total}] {cell.describe(self.columns)}"
        estimate = self.left(left)
        return text if estimate is None else f"{text} · about {duration(estimate)} left"

    def left(self, cells: Sequence[Cell]) -> float | None:
        """Seconds that `cells` will take, by the mean of their column, else of the table; None when unknown."""
        everything = [seconds for column in self.seconds.values() for seconds in column]
        if not everything:
            return None
        return sum(_mean(self.seconds.get(cell.column.name) or everything) for cell in cells)


class Launcher(Protocol):
    """Executes runs. A launcher that only queues them returns at once, with no failures."""

    def command(self, cell: Cell) -> list[str]:
        """The command that `cell` runs, as --dry-run prints it."""

    def __call__(self, cells: Sequence[Cell], watch: Watch) -> list[Failure]:
        """Run `cells`, none of them finished; report those that failed. Raises KeyboardInterrupt when stopped."""


def say(text: str) -> None:
    """A line for the person who waits, on stderr: stdout is for the table."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """To the precision that an estimate deserves: 40 s, 9 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(round(seconds / 600) * 10, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
