"""Fetch and build the data of the demo scale, unless it is already there."""

import argparse
import json
import sys
from pathlib import Path

from skipln.data.text.demo import catalogs
from skipln.system.printing import exit_status


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.prepare_data", description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("data"), help="folder for fetched and built data [data]")
    cache = parser.parse_args().cache
    folder = catalogs.prepare(cache)
    print(f"{folder}: English-German user-interface text")
    for name, file in json.loads((folder / "MANIFEST.json").read_text("utf-8"))["files"].items():
        print(f"  {name}  {file['lines']:>6,} lines  {file['words']:>8,} words  sha256 {file['sha256']}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
