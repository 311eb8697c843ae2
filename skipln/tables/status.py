"""`make status`: the state of every cell of every table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skipln.errors import UserError
from skipln.report.numbers import EMPTY
from skipln.runs.queue import Queue
from skipln.runs.reading import RunState, last_line, read_state
from skipln.runs.result import Result
from skipln.system.printing import one_line
from skipln.tables import store
from skipln.tables.cells import CACHE, Cell, cells
from skipln.tables.manifest import Manifest
from skipln.tables.metrics import METRICS
from skipln.tables.presentation import text
from skipln.tables.records import adoptable
from skipln.tables.runner import output

LOGGED = ("running", "interrupted", "failed")  # the states in which the log's last line is shown
HEADING = ("row", "data", "seed", "state", "update", "metric", "run", "message")


@dataclass(frozen=True)
class Standing:
    """A cell and the state of its run. `committed`: the run folder is gone, and only your table's record is left."""

    cell: Cell
    state: RunState
    committed: bool = False


def status(
    manifest: Manifest,
    scale: str,
    seeds: Sequence[int] | None,
    extra: Sequence[str] = (),
    cache: Path | None = CACHE,
) -> str:
    """Lines about one table: a summary, then one line per cell. Seeds that have a record are shown too.

    A cell without a result follows the runs of its search. A cell that lacks what only the user can give says what to
    give. A table without columns at this scale gets one line that says so.
    """
    title = f"{manifest.name} · {scale}"
    if not manifest.columns_at(scale):
        return f"{title} · no columns at this scale"
    try:
        folder = output(manifest, scale, extra)
        records = {record.hash: record for record in store.read_records(folder)}
        own = {cell.hash for cell in cells(manifest, scale, seeds, extra, cache)} | set(records)
        every_seed = sorted({*(seeds or manifest.every_seed(scale)), *(r.seed for r in records.values())})
        records |= {record.hash: record for record in adoptable(folder).records}
        queue = Queue()
        found = [
            standing
            for cell in cells(manifest, scale, every_seed, extra, cache)
            if cell.hash in own
            for standing in _standings(cell, records, queue)
        ]
    except UserError as error:
        return f"{title} · {error}"
    counts = Counter(standing.state.state for standing in found)
    summary = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    lines = [_line(manifest, standing) for standing in found]
    return f"{title} · {len(found)} runs: {summary}\n{_aligned([HEADING, *lines])}"


def _standings(cell: Cell, records: dict[str, store.Record], queue: Queue) -> list[Standing]:
    """A cell's standing; while it has no result, those of the runs of its search come first."""
    own = _standing(cell, records, queue)
    return [own] if own.state.result else [*(_standing(run, records, queue) for run in cell.candidates), own]


def _standing(cell: Cell, records: dict[str, store.Record], queue: Queue) -> Standing:
    state, record = read_state(cell.folder, queue), records.get(cell.hash)
    if state.result is None and state.state == "missing" and record is not None:
        return Standing(cell, RunState(record.state, record.update, record.update, record.message, record), True)
    if state.state == "missing" and cell.lacks:
        return Standing(cell, RunState(text.LACKING, message=cell.lacks))
    return Standing(cell, state)


def _line(manifest: Manifest, standing: Standing) -> tuple[str, ...]:
    cell, state = standing.cell, standing.state
    metric = METRICS["valid_loss"] if cell.setting else manifest.metrics_of(cell.column)[0]
    said = state.message or (last_line(cell.folder) if state.state in LOGGED else "")
    message = "; ".join(filter(None, [said, "from runs/tables/, no run folder" if standing.committed else ""]))
    return (
        ", ".join([cell.row.label, *cell.setting]),
        cell.column.label,
        str(cell.seed),
        state.state,
        f"{state.update}/{cell.updates}" if state.state not in ("missing", text.LACKING) else EMPTY,
        _value(state.result, metric.key, metric.decimals, metric.label),
        cell.hash,
        one_line(message),  # it may come from a folder of somebody else
    )


def _value(result: Result | None, key: str, decimals: int, label: str) -> str:
    value = result.metrics.get(key) if result else None
    return EMPTY if value is None else f"{label} {value:.{decimals}f}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(f"  {row}" for row in rows)
