"""The places of the files that are not code: at the top of a clone, or inside the package in an installed wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent  # what a process that imports skipln has on its path
CLONE = (ROOT / "configs" / "config.yaml").is_file()

CONFIGS = (ROOT if CLONE else PACKAGE) / "configs"
EXPERIMENTS = (ROOT if CLONE else PACKAGE) / "experiments"
RESULTS = ROOT / "results" if CLONE else Path("results")  # an installed package may be read-only
