"""Write results/README.md and results/evidence.svg from the published records; make results calls this."""

import argparse
import sys
from pathlib import Path

from scripts.evidence.comparing import claims, comparisons
from scripts.evidence.costs import standings
from scripts.evidence.page import page
from scripts.evidence.picture import picture
from skipln.system.files import atomic_write
from skipln.system.places import EXPERIMENTS, RESULTS
from skipln.system.printing import exit_status


def made(results: Path, experiments: Path) -> dict[str, str]:
    """The contents of the files by name, made from the records."""
    asked, found = claims(experiments), comparisons(results, experiments)
    return {
        "README.md": page(asked, found, list(standings(results, experiments))),
        "evidence.svg": picture(asked, found).svg(),
    }


def main() -> None:
    argparse.ArgumentParser(prog="python -m scripts.evidence", description=__doc__).parse_args()
    for name, content in made(RESULTS, EXPERIMENTS).items():
        with atomic_write(RESULTS / name, "w") as file:
            file.write(content)
        print(RESULTS / name)


if __name__ == "__main__":
    sys.exit(exit_status(main))
