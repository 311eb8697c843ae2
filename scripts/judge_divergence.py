"""Judge every committed run by the current criterion of divergence (skipln/runs/divergence.py); print what changes.

python -m scripts.judge_divergence            # exit status 1 if a record and its curve disagree
python -m scripts.judge_divergence --write    # correct those records and render their tables again
"""

import argparse
import sys
from pathlib import Path

from skipln.system.places import EXPERIMENTS, RESULTS
from skipln.system.printing import exit_status
from skipln.tables import store
from skipln.tables.judging import judged, training_losses
from skipln.tables.manifest import load
from skipln.tables.presentation.render import render


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.judge_divergence", description=__doc__)
    parser.add_argument("--write", action="store_true", help="correct the records and render their tables again")
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    parser.add_argument("--experiments", type=Path, default=EXPERIMENTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    runs: set[str] = set()
    changed = whole = 0
    for folder in sorted(path.parent for path in options.results.glob("*/*/records.jsonl")):
        kept = store.read(folder)
        records, curves = kept.records, kept.curves
        again = [judged(record, curves[record.hash]) if record.hash in curves else record for record in records]
        different = {new.hash for old, new in zip(records, again, strict=True) if new != old}
        for old, new in zip(records, again, strict=True):
            if new.hash in different:
                what = f"{folder.parent.name}/{folder.name}, {new.row}, {new.column}, seed {new.seed}, run {new.hash}"
                print(f"{what}: {old.state} {old.metrics} -> {new.state}: {new.message}")
            if new.hash not in runs and new.hash in curves:
                points = sum(1 for _ in training_losses(curves[new.hash]))
                whole += points >= old.update // old.config["training"]["log_every"]
            runs.add(new.hash)
        changed += len(different)
        if different and options.write:
            examples = {key: found for key, found in kept.examples.items() if key not in different}
            store.write(folder, store.Kept(again, curves, examples))
            render(load(folder.name, options.experiments), folder.parent.name, folder)
    print(f"{len(runs)} runs judged: {whole} by every log point, the others by 200 points; {changed} records change")
    return 1 if changed and not options.write else 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
