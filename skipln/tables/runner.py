"""`make tableN`: make the missing runs, then collect and render."""

import hashlib
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skipln.errors import UserError
from skipln.runs.reading import read_state
from skipln.runs.weights import weights_file
from skipln.system.commands import how_to_use
from skipln.system.files import locked
from skipln.system.places import RESULTS
from skipln.system.printing import one_line
from skipln.tables.cells import CACHE, Cell, cells, trial
from skipln.tables.execution.cost import ASSUMED, cpu_hours, gpu_hours
from skipln.tables.execution.launching import Failure, Launcher, say
from skipln.tables.manifest import Manifest
from skipln.tables.presentation import text
from skipln.tables.presentation.render import render, render_beside
from skipln.tables.records import adoptable, collect, recorded_seeds
from skipln.tables.store import read_records

LONGEST = 200  # bytes of the overrides in a folder's name, which may have 255
YOURS = Path("runs/tables")  # git-ignored; only `make publish` changes the published results/


@dataclass(frozen=True)
class Order:
    """A request for a table: a scale, seeds (None: each row's own), overrides for every run, and rows (empty: all)."""

    manifest: Manifest
    scale: str
    seeds: Sequence[int] | None
    extra: Sequence[str] = ()
    rows: Sequence[str] = ()
    results: Path = RESULTS
    cache: Path | None = CACHE

    def plan(self) -> list[Cell]:
        return plan(self.manifest, self.scale, self.seeds, self.extra, self.cache, self.rows)

    def asked(self, planned: Sequence[Cell]) -> list[Cell]:
        """The cells of the table that the order names."""
        rows = [cell for cell in planned if not self.rows or cell.row.name in self.rows]
        return [cell for cell in rows if cell.seed in (self.seeds or self.manifest.seeds_of(self.scale, cell.row))]

    def every_seed(self) -> Sequence[int]:
        return self.seeds or self.manifest.every_seed(self.scale)

    def output(self) -> Path:
        return output(self.manifest, self.scale, self.extra)

    def published(self) -> Path:
        return self.results / self.scale / self.manifest.name


def run(order: Order, launcher: Launcher) -> int:
    """Make your table; return the exit status: 0, or 1 if a run failed. Print it on stdout with the results of all
    rows so far, then beside the published one. Published runs do not count as yours and do not change.

    Raises UserError before anything runs, and KeyboardInterrupt when stopped, after the current run has saved.
    """
    manifest, scale, extra = order.manifest, order.scale, order.extra
    planned, folder = order.plan(), order.output()
    refuse_lacking(manifest, scale, planned)
    made = {record.hash for record in adoptable(folder).records}
    unfinished = unfinished_of([cell for cell in planned if cell.hash not in made])
    missing = [cell for cell in unfinished if not cell.lacks]
    total = sum(len(cell.runs) for cell in planned)
    say(f"{manifest.name} · {scale}: {total - len(unfinished)} of {total} runs are finished")
    failures = _launch(launcher, missing, total)

    with locked(YOURS / ".lock"):  # if two tables run at once, each writes its files together
        every_seed = sorted({*order.every_seed(), *recorded_seeds(folder)})
        collect(manifest, cells(manifest, scale, every_seed, extra, order.cache), folder)
        render(manifest, scale, folder)
        render_beside(manifest, scale, folder, order.published())
    say("")
    print((folder / "table.md").read_text(encoding="utf-8"))
    print((folder / "beside.md").read_text(encoding="utf-8"), end="")
    say(f"\nin {folder}: table.md, table.csv, table.tex, curves.svg, curves.html, beside.md")
    if usable := _usable(order.asked(planned)):
        command = how_to_use(usable.config.task.name, usable.folder)
        say(f"use its runs (make status names them), such as {usable.describe()}: {command}")
    if changed := trial(manifest, scale, extra):
        say(f"your table is not the published one; it changes {' '.join(changed)}")
    _report(failures, [cell for cell in unfinished if cell.lacks], total)
    return 1 if failures else 0


def _usable(asked: Sequence[Cell]) -> Cell | None:
    """The last of the runs that has a model to use; None if there is none."""
    for run in (run for cell in reversed(asked) for run in reversed(cell.runs)):
        with suppress(UserError):
            weights_file(run.folder)
            return run
    return None


def unfinished_of(planned: Iterable[Cell]) -> list[Cell]:
    """The missing runs: each cell without a result, preceded by the unfinished runs of its search."""
    missing = [cell for cell in planned if read_state(cell.folder).result is None]
    runs = [run for cell in missing for run in cell.runs]
    return [run for run in runs if not run.setting or read_state(run.folder).result is None]


def _launch(launcher: Launcher, missing: Sequence[Cell], total: int) -> list[Failure]:
    """Run the trainings, then their evaluations; an evaluation whose input has no result is not started."""
    trained = [cell for cell in missing if not cell.config.inputs]
    failures = launcher(trained, total) if trained else []
    ready = []
    for cell in (cell for cell in missing if cell.config.inputs):
        lacking = [name for name in cell.config.inputs if read_state(cell.folder.parent / name).result is None]
        if lacking:
            failures.append(Failure(cell, f"its input {cell.folder.parent / lacking[0]} has no result"))
        else:
            ready.append(cell)
    return failures + (launcher(ready, total) if ready else [])


def dry_run(order: Order, launcher: Launcher) -> None:
    """Print every run with its hash, state, GPU-hours and command, or what it lacks; start nothing.

    The assumptions behind the estimates go to stderr.
    """
    planned = [run for cell in order.plan() for run in cell.runs]
    records = [*read_records(order.output()), *read_records(order.published())]
    total = left = 0.0
    for cell in planned:
        state = read_state(cell.folder)
        hours, measured = gpu_hours(cell, records)
        total += hours
        left += 0 if state.result else hours
        how = "measured" if measured else "estimated"
        lacks = cell.lacks and state.state == "missing"
        standing, ending = (text.LACKING, cell.lacks) if lacks else (state.state, shlex.join(launcher.command(cell)))
        print(f"{cell.hash}  {standing:<11}  {hours:8.2f} GPU-h {how:<9}  {ending}")
    say(f"{len(planned)} runs: {total:,.1f} GPU-hours, {left:,.1f} of them to run; estimated: {ASSUMED}")
    measured_here = [spent for cell in planned if (spent := cpu_hours(cell, records)) is not None]
    if measured_here:
        say(
            f"on a CPU, the records add up to {sum(measured_here):,.2f} hours for {len(measured_here)} of these runs, "
            "start-up excluded"
        )


def plan(
    manifest: Manifest,
    scale: str,
    seeds: Iterable[int] | None,
    extra: Sequence[str] = (),
    cache: Path | None = CACHE,
    rows: Sequence[str] = (),
) -> list[Cell]:
    """The runs of the table at `scale`, for all rows or the named ones. Raises UserError if there are none."""
    if not manifest.columns_at(scale):
        there = ", ".join(name for name, columns in manifest.columns.items() if columns)
        raise UserError(f"{manifest.name} has no columns at scale {scale}: choose one of {there}")
    known = [row.name for row in manifest.rows]
    if unknown := [row for row in rows if row not in known]:
        raise UserError(f"{manifest.name} has no row {', '.join(unknown)}: choose from {', '.join(known)}")
    return [cell for cell in cells(manifest, scale, seeds, extra, cache) if not rows or cell.row.name in rows]


def refuse_lacking(manifest: Manifest, scale: str, planned: Sequence[Cell]) -> None:
    """Raise UserError, one line that says what to give, if none of the runs can start."""
    if planned and all(cell.lacks for cell in planned):
        raise UserError(f"{manifest.name} at scale {scale} {planned[0].lacks}")


def output(manifest: Manifest, scale: str, extra: Sequence[str]) -> Path:
    """The folder of your table; runs that differ from the manifest's have a folder in it, named by what differs."""
    changed = ",".join(sorted(trial(manifest, scale, extra))).replace("/", "-")
    whole = changed.encode("utf-8", "replace")
    if len(whole) > LONGEST:
        changed = f"{whole[:LONGEST].decode('utf-8', 'ignore')}-{hashlib.sha256(whole).hexdigest()[:12]}"
    return YOURS / scale / manifest.name / changed


def _report(failures: Sequence[Failure], lacking: Sequence[Cell], total: int) -> None:
    for reason, count in Counter(cell.lacks for cell in lacking).items():
        say(f"\n{count} of {total} runs were not started: {reason}")
    if failures:
        say(f"\n{len(failures)} of {total} runs failed:")
    for failure in failures:
        say(f"  {failure.cell.describe()}: {one_line(failure.message)}")
