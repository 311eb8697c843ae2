"""Outcomes of attacks, counted by kind; `make test-faults` writes them into docs/reliability.md."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from skipln.system.files import atomic_write

Outcome = Literal["survived", "refused", "failed"]
HEADER = [
    "| attack | share | tried | survived | refused in one line | failed |",
    "|---|---:|---:|---:|---:|---:|",
]
BEGIN, END = "<!-- attacks -->\n", "<!-- /attacks -->"


@dataclass
class Tally:
    """survived: the result was still right; refused: one line and no result; failed: anything else."""

    counts: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[str] = field(default_factory=list)

    def add(self, kind: str, outcome: Outcome, what: str = "", times: int = 1) -> None:
        self.counts[kind][outcome] += times
        if outcome == "failed":
            self.failures.append(f"{kind}: {what}")

    def rows(self, share: float) -> dict[str, str]:
        """Return a line of the page's table for each kind."""
        found = {}
        for kind, counts in self.counts.items():
            numbers = (counts.total(), counts["survived"], counts["refused"], counts["failed"])
            found[kind] = f"| {kind} | {share:g} | {' | '.join(f'{number:,}' for number in numbers)} |"
        return found

    def write(self, page: Path, share: float) -> None:
        """Replace the rows of these kinds between the marks of `page`, and keep all else there."""
        lines = said_in(page).splitlines()
        old = [line for line in lines[len(HEADER) :] if line.startswith("|")]
        rows = {line.split(" | ")[0].removeprefix("| "): line for line in old} | self.rows(share)
        _between(page, [*HEADER, *rows.values(), *(line for line in lines if not line.startswith("|"))])


def timed(page: Path, minutes: float, cores: int) -> None:
    """State below the table how long a session of all attacks took."""
    table = [line for line in said_in(page).splitlines() if line.startswith("|")]
    _between(
        page,
        [*table, "", f"The last run of all attacks took {minutes:.0f} minutes on {cores} core{'s' * (cores > 1)}."],
    )


def said_in(page: Path) -> str:
    """What stands between the marks of `page`."""
    return page.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]


def _between(page: Path, lines: list[str]) -> None:
    text = page.read_text("utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    with atomic_write(page, "w") as file:
        file.write(f"{before}{BEGIN}{chr(10).join(lines)}\n{END}{after}")
