"""`make publish`: publish your records, all at once, and record who published which runs."""

import getpass
import shutil
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from skipln.errors import UserError
from skipln.runs.source import source
from skipln.system.files import locked, recover_folder, replace_folder
from skipln.system.places import ROOT
from skipln.tables import store
from skipln.tables.cells import Cell, cells
from skipln.tables.equal_data import same
from skipln.tables.execution.launching import say
from skipln.tables.presentation.render import render
from skipln.tables.records import adoptable, gather, recorded_seeds
from skipln.tables.runner import YOURS, Order
from skipln.tables.store import Kept, Publication, Record

ALLOWED = ("unfinished", "mixed", "uncommitted")


@dataclass(frozen=True)
class Changes:
    """What a publication changes: new records, (before, after) pairs where another measurement replaces a cell's, and
    records that are removed because no cell has their configuration."""

    new: list[Record]
    replaced: list[tuple[Record, Record]]
    removed: list[Record]

    @property
    def coming(self) -> list[Record]:
        return [*self.new, *(after for _, after in self.replaced)]


def publish(order: Order, allowed: Collection[str]) -> int:
    """Publish the finished runs of the order's table beside those already published; print what changed.

    Raises UserError if requested runs are missing, if a column's runs differ in their arithmetic or data, or if a new
    run's code was not committed, unless `allowed` has that word of ALLOWED.
    """
    if unknown := [word for word in allowed if word not in ALLOWED]:
        raise UserError(f"allow={unknown[0]}: choose from {', '.join(ALLOWED)}")
    folder = order.published()
    with locked(YOURS / ".lock"):
        recover_folder(folder)
        before, yours = store.read(folder), store.read(order.output())
        seeds = {*order.every_seed(), *recorded_seeds(folder), *(record.seed for record in yours.records)}
        planned = cells(order.manifest, order.scale, sorted(seeds), order.extra, order.cache)
        after = gather(order.manifest, planned, [yours, before, adoptable(folder)])
        changes = changed(before.records, after.records)
        if not (changes.coming or changes.removed):
            say(f"{folder}: nothing of yours is new or different")
            return 0
        found = refusals(order.asked(planned), after.records, changes.coming)
        if reasons := [f"{text} (ALLOW={word} publishes all the same)" for word, text in found if word not in allowed]:
            raise UserError("; ".join(reasons))
        after.publications = [*before.publications, _publication(changes, sorted({word for word, _ in found}))]
        _put(order, after, folder)
    print("\n".join(told(changes)))
    say(f"published in {folder}; make results updates README and results/README.md: read the difference, commit it")
    return 0


def changed(before: Sequence[Record], after: Sequence[Record]) -> Changes:
    """The cells with new measurements; a record that only moved to another row's name or table does not count."""
    places = {_place(record): record for record in before}
    kept = {_place(record) for record in after}
    pairs = [(places.get(_place(record)), record) for record in after]
    return Changes(
        new=[record for old, record in pairs if old is None],
        replaced=[(old, record) for old, record in pairs if old is not None and _measured(old) != _measured(record)],
        removed=[record for record in before if _place(record) not in kept],
    )


def refusals(asked: Sequence[Cell], records: Sequence[Record], coming: Sequence[Record]) -> list[tuple[str, str]]:
    """(word of ALLOWED, the reason in one sentence) for each reason to refuse a publication."""
    found = []
    there = {record.hash for record in records}
    if lacking := [cell for cell in asked if cell.hash not in there]:
        found.append(("unfinished", f"{len(lacking)} of {len(asked)} runs have no result: {_some(lacking)}"))
    for column in dict.fromkeys(record.column for record in records):
        done = [record for record in records if record.column == column and record.state == "done"]
        for what, values in (
            ("arithmetic", {record.arithmetic for record in done}),
            ("data", {f"{record.data.name} {same(record.data.fingerprint)[:12]}" for record in done}),
        ):
            if len(values) > 1:
                found.append(("mixed", f"{column}: the runs differ in their {what}: {', '.join(sorted(values))}"))
    if dirty := [record for record in coming if any(made.get("dirty") for made in record.environments)]:
        found.append(("uncommitted", f"{len(dirty)} runs were made with uncommitted code: {_some(dirty)}"))
    return found


def told(changes: Changes) -> list[str]:
    """One line for each record that is new, replaced or removed."""
    lines = [f"new       {_name(record)}: {_scores(record)}" for record in changes.new]
    lines += [f"replaced  {_name(after)}: {_scores(old)} -> {_scores(after)}" for old, after in changes.replaced]
    return lines + [f"removed   {_name(record)}: {_scores(record)}" for record in changes.removed]


def _publication(changes: Changes, allowed: list[str]) -> Publication:
    return Publication(
        by=_who(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        code=source().commit,
        runs=[record.hash for record in changes.coming],
        replaced=[old.hash for old, _ in changes.replaced],
        removed=[record.hash for record in changes.removed],
        allowed=allowed,
    )


def _who() -> str:
    """The name that git signs commits with, else the account's."""
    try:
        said = subprocess.run(["git", "config", "user.name"], cwd=ROOT, capture_output=True, text=True, check=False)
        return said.stdout.strip() or getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _put(order: Order, kept: Kept, folder: Path) -> None:
    """Make the whole folder beside the old one, then replace the old one with it."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        if folder.exists():
            shutil.copytree(folder, new)
        store.write(new, kept)
        render(order.manifest, order.scale, new)
        replace_folder(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _place(record: Record) -> tuple[str, str, int]:
    return record.row, record.column, record.seed


def _measured(record: Record) -> dict:
    return record.model_dump(exclude={"table", "row", "column", "overrides", "config"})


def _scores(record: Record) -> str:
    said = ", ".join(f"{name} {value:.4g}" for name, value in record.metrics.items())
    return said if record.state == "done" else f"diverged at update {record.update}"


def _name(record: Record | Cell) -> str:
    row, column = (record.row.name, record.column.name) if isinstance(record, Cell) else (record.row, record.column)
    return f"{row}/{column}/seed{record.seed}"


def _some(found: Iterable[Record | Cell], most: int = 5) -> str:
    names = [_name(one) for one in found]
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
