"""table.csv: one line per row and column, with six decimals; an empty field is a number that is not known."""

from collections.abc import Iterator

from skipln.report.numbers import full
from skipln.tables.statistics.runs import METHOD
from skipln.tables.statistics.summary import Block, Entry, Summary


def values(summary: Summary) -> Iterator[list[object]]:
    """The heading, then the lines."""
    metrics = list(dict.fromkeys(metric.key for block in summary.blocks for metric in block.metrics))
    heading = ["column", "row", "label", "seeds", "diverged"]
    heading += [f"{key}{suffix}" for key in metrics for suffix in ("", "_std", "_n")]
    heading += ["compared", "difference", "low_95", "high_95", "p", "p_holm", "detectable", "method"]
    searched = any(block.column.search for block in summary.blocks)
    costs = summary.manifest.costs == "per_update"
    heading += [f"{key}_examples" for key in ("low_95", "high_95", "p", "p_holm", "method")]
    heading += ["parameters", "per_second", "arithmetic", "published", "source"]
    heading += ["searched", "chosen", "candidates", "candidates_diverged"] if searched else []
    yield [*heading, *(["ms_per_update", "kept_bytes", "peak_bytes"] if costs else [])]
    for block in summary.blocks:
        for entry in block.entries:
            line = _line(block, entry, metrics) + (_search(block, entry) if searched else [])
            yield line + ([full(entry.milliseconds), full(entry.kept), full(entry.peak)] if costs else [])


def _search(block: Block, entry: Entry) -> list[object]:
    diverged, compared = entry.compared
    return [" ".join(block.column.search), "; ".join(entry.settings), compared, diverged]


def _line(block: Block, entry: Entry, metrics: list[str]) -> list[object]:
    line: list[object] = [block.column.name, entry.row.name, entry.row.label]
    line += [" ".join(str(record.seed) for record in entry.records), entry.diverged]
    for key in metrics:
        mean = entry.values.get(key)
        line += [full(mean.mean), full(mean.std), mean.n] if mean else ["", "", 0]
    line += [block.metrics[0].key, full(entry.difference)]
    test, other = entry.test, entry.comparison
    line += [full(test.low), full(test.high), full(test.p)] if test else ["", "", ""]
    line += [full(entry.adjusted), full(test.detectable) if test else "", METHOD if test else ""]
    line += [full(other.low), full(other.high), full(other.p)] if other else ["", "", ""]
    line += [full(entry.adjusted_examples), other.method if other else ""]
    published = entry.published
    line += [entry.parameters or "", full(entry.speed), " and ".join(entry.arithmetic)]
    return line + ([published.value, published.source] if published else ["", ""])
