"""`skipln-classify RUN IMAGE…`: print the likeliest classes of images, by a trained run."""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skipln.errors import UserError
from skipln.trained.folder import read_run
from skipln.trained.options import answered, parser_for, use_threads


def main(arguments: list[str] | None = None) -> int:
    parser = parser_for("classify", __doc__ or "")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument("--top", type=int, default=1, metavar="K", help="number of classes for each image [1]")
    parser.add_argument("--format", choices=("csv", "json"), default="csv", help="output format [csv]")
    given = parser.parse_intermixed_args(arguments)  # words may stand before and after options
    if given.top < 1:
        parser.error(f"--top {given.top}: give at least 1")

    def work() -> None:
        if missing := next((path for path in given.images if not path.is_file()), None):
            raise UserError(f"{missing}: no such image")
        read_run(given.run, "classification")  # reports mistakes before torch is loaded
        from skipln.trained.run import load_run

        use_threads(given.threads)
        run = load_run(given.run, given.device)
        classes, top = run.classes, min(given.top, len(run.classes))
        rows: list[dict[str, Any]] = []
        for path, probabilities in zip(given.images, run.probabilities(given.images), strict=True):
            best = (-probabilities).argsort(kind="stable")[:top]
            found = enumerate(best.tolist(), 1)
            rows += [_row(path, rank, classes[i], float(probabilities[i])) for rank, i in found]
        _print(rows, given.format)

    return answered(work)


def _row(path: Path, rank: int, name: str, probability: float) -> dict[str, Any]:
    return {"image": str(path), "rank": rank, "class": name, "probability": round(probability, 6)}


def _print(rows: Sequence[dict[str, Any]], form: str) -> None:
    if form == "json":
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
