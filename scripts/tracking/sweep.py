"""Write a table's sweep file for `wandb sweep`; every machine that starts `wandb agent` then helps to run its cells.

python -m scripts.tracking.sweep table2 --scale small --seeds 3 data.dir=FOLDER > table2.yaml
wandb sweep table2.yaml
"""

import argparse
import sys

import yaml

from skipln.tables import manifest as manifests
from skipln.tables.cli import seeds_of
from skipln.tables.manifest import SCALES
from skipln.tracking.options import add_place, run_script, tracker_of
from skipln.tracking.sweep import sweep


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.tracking.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", help="a file of experiments/, such as table2")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides for every run")
    parser.add_argument("--scale", default="demo", metavar="|".join(SCALES), help="default: demo")
    parser.add_argument("--seeds", help="3: seeds 1, 2 and 3; 2,5: those two (default: the manifest's)")
    add_place(parser)
    options = parser.parse_intermixed_args()  # overrides may come after options
    manifest = manifests.load(options.table)
    seeds = seeds_of(options.seeds) or list(manifest.every_seed(options.scale))
    content = sweep(manifest, options.scale, seeds, options.overrides, tracker_of(options))
    yaml.safe_dump(content, sys.stdout, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    run_script(main)
