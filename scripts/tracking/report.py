"""Build a W&B Report that compares a table's curves, mean ± std by row; print it as JSON, or --save it in W&B."""

import argparse

from skipln.tables import manifest as manifests
from skipln.tables.manifest import SCALES
from skipln.tracking.options import add_place, run_script, tracker_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.tracking.report", description=__doc__)
    parser.add_argument("table", help="a file of experiments/, such as table2")
    parser.add_argument("--scale", default="demo", metavar="|".join(SCALES), help="default: demo")
    parser.add_argument("--save", action="store_true", help="save it as a draft in the project and print its address")
    add_place(parser)
    options = parser.parse_args()
    manifest, tracker = manifests.load(options.table), tracker_of(options)
    from skipln.tracking.report import report, save, specification  # W&B is slow to import, and --help needs none

    page = report(manifest, options.scale, tracker)
    print(save(page) if options.save else specification(page))


if __name__ == "__main__":
    run_script(main)
