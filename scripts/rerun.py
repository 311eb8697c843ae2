"""Train one published run again and say whether the results agree: make rerun CELL=table2/demo/rskip_ln_2/seed1

CELL is TABLE/SCALE/ROW/seedN, or TABLE/SCALE/ROW/COLUMN/seedN if the table has several columns. The run is made in
runs/rerun/; results/ does not change. With the machine, versions and commit of the published run, the metrics must be
equal. Otherwise each must lie in the 95 % prediction interval of the row's published runs, which needs three of them.
For a cell whose learning rate was searched, all runs of the search are made, and for an evaluation the runs that it
tests. The exit status is 0 if the results agree or nothing can be said, and 1 if they do not agree.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.runs.reading import Result, read_result
from skipln.system.places import RESULTS
from skipln.system.printing import exit_status
from skipln.tables import store
from skipln.tables.execution.local import TRAINER
from skipln.tables.manifest import harmless
from skipln.tables.statistics.prediction import prediction_interval
from skipln.tables.store import Record, candidate_overrides

RUNS = "runs/rerun"
CONCLUSION = {True: "agrees", False: "does NOT agree", None: "nothing can be said: n too small"}
SAME = ("commit", "dirty", "cpu", "device", "threads", "python", "torch")


def published(cell: str, results: Path) -> tuple[Record, list[Record]]:
    """The record that `cell` names, and those of all seeds of its row and column. Raises UserError for none or many."""
    found = re.fullmatch(r"(\w+)/(\w+)/(\w+)(?:/(\w+))?/seed(\d+)", cell)
    if found is None:
        raise UserError(f"CELL={cell}: give it as TABLE/SCALE/ROW/seedN or TABLE/SCALE/ROW/COLUMN/seedN")
    table, scale, row, column, seed = found.groups()
    of_row = [r for r in store.read_records(results / scale / table) if r.row == row and column in (None, r.column)]
    columns = sorted({record.column for record in of_row})
    if len(columns) > 1:
        raise UserError(f"CELL={cell}: choose a column: {', '.join(f'{row}/{c}/seed{seed}' for c in columns)}")
    for record in of_row:
        if record.seed == int(seed):
            return record, of_row
    raise UserError(f"CELL={cell}: no such published run in {results / scale / table}")


def compared(record: Record, siblings: Sequence[Record], result: Result) -> tuple[list[str], bool | None]:
    """(lines about the new run, whether it agrees with the published one; None if n is too small)."""
    if result.state != record.state:
        return [f"state: {result.state} ({result.message}), published {record.state}: does NOT agree"], False
    if result.state == "diverged":
        return [f"state: diverged at update {result.update}, published at {record.update}: agrees"], True
    different = [key for key in SAME if result.environment.get(key) != record.environment.get(key)]
    lines = [f"different: {', '.join(different)}" if different else "the same machine, versions and commit"]
    verdicts: list[bool | None] = []
    for name, value in record.metrics.items():
        found = result.metrics.get(name)
        line = f"{name}: {_short(found)}, published {_short(value)}"
        others = [v for r in siblings if r.state == "done" and (v := r.metrics.get(name)) is not None]
        interval = prediction_interval(others)
        if found == value:
            lines.append(f"{line}: equal")
            verdicts.append(True)
        elif not different or found is None:
            lines.append(f"{line}: NOT equal")
            verdicts.append(False)
        elif interval is None:
            lines.append(f"{line}: n = {len(others)} published runs are too few to say where another one would lie")
            verdicts.append(None)
        else:
            inside = interval[0] <= found <= interval[1]
            where = f"{'inside' if inside else 'OUTSIDE'} [{_short(interval[0])}, {_short(interval[1])}]"
            lines.append(f"{line}: {where}, where another run of ours would lie (95 %, n = {len(others)})")
            verdicts.append(inside)
    return lines, False if False in verdicts else None if None in verdicts else True


def _short(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def evaluated(record: Record, results: Path) -> list[Record]:
    """The published runs that an evaluation tests, each once; none for a training or a search, which has its own.

    Raises UserError if one of them is not published.
    """
    inputs = [] if record.compared else dict.fromkeys(record.config.get("inputs", []))
    folders = sorted(path.parent for path in results.glob("*/*/records.jsonl"))
    by_hash = {one.hash: one for folder in folders for one in store.read_records(folder)}
    if unknown := [name for name in inputs if name not in by_hash]:
        raise UserError(f"{record.row}, {record.column}: evaluates run {unknown[0]}, which is not published")
    return [by_hash[name] for name in inputs]


def _again(record: Record, extra: Sequence[str], overrides: Sequence[str] | None = None) -> list[str]:
    """The overrides that make a published run, or one of its search, again in a folder of its own.

    Raises UserError for a record with one that is not `harmless`.
    """
    own = record.overrides if overrides is None else overrides
    for text in own:
        try:
            harmless(text)
        except ValueError as error:
            raise UserError(f"run {record.hash}: its record has the override {text}: {error}") from error
    threads = record.environment.get("threads")
    where = [f"compute.threads={threads}"] if threads and type(threads) is int else []  # not what a text resolves to
    return [*own, *where, *extra, f"paths.runs={RUNS}"]


def rerun(cell: str, extra: Sequence[str], results: Path, trainer: Sequence[str]) -> int:
    record, siblings = published(cell, results)
    config = compose(_again(record, extra))
    if config.hash != record.hash:
        raise UserError(f"CELL={cell} is run {record.hash}, but training it would make another run, {config.hash}")
    first = [
        *(_again(record, extra, candidate_overrides(record.overrides, one.settings)) for one in record.compared),
        *(_again(one, extra) for one in evaluated(record, results)),
    ]
    for overrides in (*first, _again(record, extra)):
        status = subprocess.run([*trainer, *overrides], check=False).returncode
        if status:
            return status
    result = read_result(config.folder)
    if result is None:
        raise UserError(f"{config.folder}: no result; start it again")
    lines, agrees = compared(record, siblings, result)
    print("\n".join([f"{cell}, run {record.hash}", *lines, CONCLUSION[agrees]]))
    return int(agrees is False)


def main(arguments: Sequence[str] | None = None, trainer: Sequence[str] = TRAINER) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.rerun", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("cell", help="such as table2/demo/rskip_ln_2/seed1")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="needed by the data, as data.dir=FOLDER")
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    options = parser.parse_intermixed_args(arguments)
    resume = "stopped; the same command continues where it stopped"
    return exit_status(lambda: rerun(options.cell, options.overrides, options.results, trainer), resume)


if __name__ == "__main__":
    sys.exit(main())
