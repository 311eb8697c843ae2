"""table.csv: one line a row and column, numbers at full use, for whatever reads numbers."""

import csv
import io

from skipln.printing import one_line
from skipln.tables.statistics.summary import Block, Entry, Summary


def spreadsheet(summary: Summary) -> str:
    """Comma-separated, a heading line, "\\n" line ends; an empty field is a number that is not known."""
    metrics = list(dict.fromkeys(metric.key for block in summary.blocks for metric in block.metrics))
    heading = ["column", "row", "label", "seeds", "diverged"]
    heading += [f"{key}{suffix}" for key in metrics for suffix in ("", "_std", "_n")]
    heading += ["compared", "difference", "low_95", "high_95", "p", "p_holm", "method"]
    heading += ["parameters", "per_second", "arithmetic", "published", "source"]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heading)
    for block in summary.blocks:
        writer.writerows(map(_inert, _line(block, entry, metrics)) for entry in block.entries)
    return file.getvalue()


def _line(block: Block, entry: Entry, metrics: list[str]) -> list[object]:
    line: list[object] = [block.column.name, entry.row.name, entry.row.label]
    line += [" ".join(str(record.seed) for record in entry.records), entry.diverged]
    for key in metrics:
        mean = entry.values.get(key)
        line += [_number(mean.mean), _number(mean.std), mean.n] if mean else ["", "", 0]
    line += [block.metrics[0].key, _number(entry.difference)]
    test = entry.comparison
    line += [_number(test.low), _number(test.high), _number(test.p)] if test else ["", "", ""]
    line += [_number(entry.adjusted), test.method if test else ""]
    published = entry.published
    line += [entry.parameters or "", _number(entry.speed), " and ".join(entry.arithmetic)]
    return line + ([published.value, published.source] if published else ["", ""])


def _inert(cell: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe, which it shows to nobody."""
    if not isinstance(cell, str) or _is_number(cell):
        return cell
    line = one_line(cell)
    return f"'{line}" if line.startswith(("=", "+", "-", "@", " ")) else line


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(value: float | None) -> str:
    """At most six decimals, without trailing zeros."""
    if value is None:
        return ""
    return f"{value:.6f}".rstrip("0").rstrip(".")
