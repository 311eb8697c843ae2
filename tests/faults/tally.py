"""Outcomes of attacks, counted by kind; `make test-faults` writes them into docs/reliability.md."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

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

    def write(self, page: Path, share: float) -> str:
        """Replace the rows of these kinds between the marks of `page`, keep the other rows, and return the table."""
        text = page.read_text("utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        lines = text.partition(BEGIN)[2].partition(END)[0].splitlines()
        rows = {line.split(" | ")[0].removeprefix("| "): line for line in lines[2:]} | self.rows(share)
        table = "\n".join([*HEADER, *rows.values()]) + "\n"
        page.write_text(f"{before}{BEGIN}{table}{END}{after}", "utf-8")
        return table
