"""Send run folders to W&B: metrics and results, each folder as one run under its hash. Later calls send the rest."""

import argparse
from pathlib import Path

from skipln.tracking.options import add_place, run_script, tracker_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.tracking.sync", description=__doc__)
    parser.add_argument("table", nargs="?", help="send only this table's runs, such as table2")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are [runs]")
    add_place(parser)
    options = parser.parse_args()
    tracker = tracker_of(options)
    from skipln.tracking.sync import found, sync  # W&B is slow to import, and --help needs none

    sent, runs = sync(found(options.runs, options.table), tracker)
    print(f"{sent} of {runs} runs sent; the others have nothing new, or are training")


if __name__ == "__main__":
    run_script(main)
