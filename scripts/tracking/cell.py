"""Run one cell of a table; `wandb agent` calls this for a sweep file of scripts.tracking.sweep: cell=… seed=…"""

import argparse

from skipln.tables import manifest as manifests
from skipln.tables.manifest import SCALES
from skipln.tracking.options import run_script
from skipln.tracking.sweep import choose, make


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.tracking.cell", description=__doc__)
    parser.add_argument("table", help="a file of experiments/, such as table2")
    parser.add_argument("words", nargs="+", metavar="KEY=VALUE", help="cell=ROW@COLUMN seed=NUMBER, and overrides")
    parser.add_argument("--scale", default="demo", metavar="|".join(SCALES), help="default: demo")
    options = parser.parse_intermixed_args()
    make(choose(manifests.load(options.table), options.scale, options.words))


if __name__ == "__main__":
    run_script(main)
