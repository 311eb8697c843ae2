"""curves.html: one self-contained page, for a browser without a network."""

import html
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skipln.tables.metrics import METRICS
from skipln.tables.presentation import text
from skipln.tables.presentation.answer import answer
from skipln.tables.presentation.figure import quantity
from skipln.tables.presentation.footnotes import footnotes, sources
from skipln.tables.presentation.live import Live
from skipln.tables.presentation.palette import Look, palette
from skipln.tables.series import POINTS
from skipln.tables.statistics.summary import Block, Summary
from skipln.tables.store import Curves, Record

_HERE = Path(__file__).parent
_AXES = ("update", "tokens", "images", "wall")
HOW_DRAWN = (
    "Line and band: mean ± one sample standard deviation over the seeds that got that far; a line breaks where their "
    f"number changes. At most {POINTS} points per run and metric are kept, evenly spaced, including the first and the "
    "last, and joined by straight lines. × diverged, ○ not finished."
)


def page(summary: Summary, curves: Mapping[str, Curves], others: Sequence[Live] = ()) -> str:
    """The page's HTML: selectable curves, the table, its footnotes, and the configuration of every row.

    others: runs that are not in the table; the page names them and draws their curves so far.
    """
    parts = {
        "title": html.escape(f"{summary.manifest.name}: {summary.manifest.title} ({summary.scale})"),
        "style": _asset("page.css"),
        "script": _asset("page.js"),
        "answer": "\n".join(_answer(block) for block in summary.blocks),
        "how": html.escape(HOW_DRAWN),
        "live": _live(others),
        "tables": "\n".join(_table(summary, block) for block in summary.blocks),
        "notes": "\n".join(f"<li>{html.escape(subject)}: {_code(note)}</li>" for subject, note in footnotes(summary)),
        "data": _embedded(_data(summary, curves, others)),
    }
    filled = _asset("page.html")
    for key, value in parts.items():  # data comes last, so that no marker inside it is filled
        before, after = filled.split(f"<!--{key}-->", 1)
        filled = before + value + after
    return filled


def _answer(block: Block) -> str:
    """A column's answer. The script hides those of the columns whose curves are not shown."""
    return f'<p data-column="{html.escape(block.column.name)}">{html.escape(answer(block))}</p>'


def _data(summary: Summary, curves: Mapping[str, Curves], others: Sequence[Live]) -> dict[str, Any]:
    """The data that the script draws: rows, columns, and each run's groups of series."""
    runs = [
        {**_run(record), "groups": curves[record.hash].groups} for record in summary.records if record.hash in curves
    ]
    runs += [_live_run(other) for other in others]
    found = {key for run in runs for group in run["groups"] for key in group}
    looks = palette(summary.manifest.rows)
    return {
        "metrics": _metric_keys(summary, found - set(_AXES), runs),
        "names": {
            f"valid/{metric.key}": f"validation {quantity(summary.records, metric.key)}"
            for metric in METRICS.values()
            if metric.curve
        },
        "axes": [key for key in _AXES if key in found],
        "rows": [_row(row.name, row.label, looks[row.name]) for row in summary.manifest.rows],
        "columns": [{"name": block.column.name, "label": block.column.label} for block in summary.blocks],
        "runs": runs,
        "configs": _configs(summary, others),
    }


def _row(name: str, label: str, look: Look) -> dict[str, Any]:
    return {"name": name, "label": label, "colour": look.colour, "dark": look.on_dark, "dash": look.dash}


def _run(record: Record) -> dict[str, Any]:
    return {key: getattr(record, key) for key in ("row", "column", "seed", "state", "hash")}


def _live_run(other: Live) -> dict[str, Any]:
    cell = other.cell
    place = {"row": cell.row.name, "column": cell.column.name, "seed": cell.seed, "hash": cell.hash}
    return {**place, "state": other.standing.state, "unfinished": other.unfinished, "groups": other.curves.groups}


def _live(others: Sequence[Live]) -> str:
    """A line for each run that is not in the table."""
    lines = [f"<li>{html.escape(f'{other.cell.describe()}: {other.describe()}')}</li>" for other in others]
    return "<h2>Not in the table yet</h2>\n<ul>\n" + "\n".join(lines) + "\n</ul>" if lines else ""


def _metric_keys(summary: Summary, found: set[str], runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys to choose from: the table's metric on the validation set, then losses, then the rest by name.

    The loss comes first if a row of the first column has a loss but not the metric, such as another engine's.
    """
    first = [f"valid/{metric.key}" for block in summary.blocks for metric in block.metrics]
    if first and _rows(summary, runs, "valid/loss") - _rows(summary, runs, first[0]):
        first.insert(0, "valid/loss")
    order = list(dict.fromkeys([*first, "valid/loss", "train/loss", *sorted(found)]))
    return [key for key in order if key in found]


def _rows(summary: Summary, runs: Sequence[Mapping[str, Any]], key: str) -> set[str]:
    """The rows that have a curve of `key` in the first column, which the page shows first."""
    column = summary.blocks[0].column.name
    return {run["row"] for run in runs if run["column"] == column and any(key in group for group in run["groups"])}


def _configs(summary: Summary, others: Sequence[Live]) -> list[dict[str, Any]]:
    """For every row and column: the command of its first run, and its configuration as KEY: VALUE lines."""
    found = []
    for block in summary.blocks:
        for entry in block.entries:
            own = [other.cell for other in others if (other.cell.row, other.cell.column) == (entry.row, block.column)]
            if not entry.records and not own:
                continue
            if entry.records:
                first = entry.records[0]
                run_hash, overrides = first.chosen or first.hash, first.trained
                config = {**_flat(first.config), **_chosen(first)}
            else:
                run_hash, overrides, config = own[0].hash, list(own[0].shared), own[0].public_config
            command = shlex.join(["python", "-m", "skipln.train", *overrides])
            title = f"{entry.row.label}, {block.column.label}"
            found.append({"title": title, "command": command, "hash": run_hash, "config": _flat(config)})
    return found


def _chosen(record: Record) -> dict[str, Any]:
    """The keys in which the chosen training of a search differs from its cell's configuration, from the record."""
    settings = next((one.settings for one in record.compared if one.hash == record.chosen), None)
    return {} if settings is None else {**settings, "inputs": [], "task.test": False}


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, dict):
        return {prefix: config}
    return {k: v for key, value in config.items() for k, v in _flat(value, f"{prefix}.{key}".lstrip(".")).items()}


def _table(summary: Summary, block: Block) -> str:
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in text.header(block))
    lines = []
    for entry in block.entries:
        cells = [html.escape(cell) for cell in text.cells(block, entry, sources(summary))]
        if entry.significant:
            at = text.difference_at(block)
            cells[at] = f"<strong>{cells[at]}</strong>"
        lines.append(f'<tr><th scope="row">{cells[0]}</th>{"".join(f"<td>{cell}</td>" for cell in cells[1:])}</tr>')
    body = "\n".join(lines)
    return (
        f'<div class="scroll"><table><caption>{html.escape(block.column.label)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _code(note: str) -> str:
    """Escape a note for HTML, with `code` in code elements."""
    parts = html.escape(note).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _embedded(data: Any) -> str:
    """JSON for a script element: escaped so that nothing in it ends the element or opens a comment."""
    content = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return content.replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").strip()
