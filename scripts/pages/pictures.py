"""Every published picture as PDF, for a paper: build/pdf/ has the folders of results/.

At the width of a column, text as text in embedded fonts. A PDF is not committed: its SVG is, and both are drawn from
the committed numbers.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.bench.records.cost_picture import picture as cost
from scripts.evidence.comparing import claims, comparisons
from scripts.evidence.picture import picture as evidence
from skipln.figures import manifest as figures
from skipln.figures.numbers import load as load_numbers
from skipln.figures.render import pictures
from skipln.report.picture import Picture, write
from skipln.system.places import EXPERIMENTS, RESULTS, ROOT
from skipln.system.printing import exit_status
from skipln.tables import manifest as tables
from skipln.tables import store
from skipln.tables.presentation.figure import figure
from skipln.tables.statistics.summary import summarise

BUILT = ROOT / "build" / "pdf"


def published(results: Path = RESULTS, experiments: Path = EXPERIMENTS) -> Iterator[tuple[Path, dict[str, Picture]]]:
    """The folders of `results` with their pictures by name; each is there as NAME.svg."""
    yield results, {"evidence": evidence(claims(experiments), comparisons(results, experiments))}
    for path in sorted(results.glob("*/*/records.jsonl")):
        folder, manifest = path.parent, tables.load(path.parent.name, experiments)
        summary = summarise(manifest, folder.parent.name, store.read_records(folder), {})
        yield folder, {"curves": figure(summary, store.read_curves(folder))}
    for path in sorted(results.glob("*/*/sites.csv")):
        folder, asked = path.parent, figures.load(path.parent.name, experiments)
        yield folder, pictures(asked, folder.parent.name, load_numbers(folder))
    for path in sorted(results.glob("bench/*/cost.csv")):
        yield path.parent, {"cost": cost(path.parent)}


def main() -> None:
    argparse.ArgumentParser(prog="python -m scripts.pages.pictures", description=__doc__).parse_args()
    for folder, found in published():
        for path in write(found, BUILT / folder.relative_to(RESULTS), pdf=True):
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(exit_status(main))
