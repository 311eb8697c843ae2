"""The rank of a connection in table 7, if the table has been made."""

from collections.abc import Iterator
from functools import cache

from skipln.system.places import RESULTS
from skipln.tables import store
from skipln.tables.manifest import SCALES, load
from skipln.tables.presentation.text import value
from skipln.tables.statistics.summary import Block, Entry, summarise

TABLE = "table7"


def places(name: str) -> Iterator[str]:
    """A phrase such as "demo, digits: skip is number 3 of 38 by error %, 2.67 (n=1)" per row and column with it."""
    for scale, block in _blocks(TABLE):
        for entry in block.entries:
            if f"skip={name}" in entry.row.overrides and entry.records:
                yield f"{scale}, {block.column.label}: {entry.row.label} {_rank(block, entry)}"


@cache
def _blocks(table: str) -> list[tuple[str, Block]]:
    """What is published of the table, by scale; computed once for all connections."""
    found = []
    for scale in SCALES:
        kept = store.read(RESULTS / scale / table)
        if kept.records:
            blocks = summarise(load(table), scale, kept.records, kept.examples).blocks
            found += [(scale, block) for block in blocks]
    return found


def _rank(block: Block, entry: Entry) -> str:
    """The rank by the mean of the column's first metric; a row without a mean has no rank."""
    metric = block.metrics[0]
    sign = -1 if metric.better == "higher" else 1
    means = [sign * found.mean for one in block.entries if (found := one.values.get(metric.key))]
    own = entry.values.get(metric.key)
    text = value(block, entry, metric)
    if own is None:
        return f"has no place among {len(means)} ({text})"
    place = 1 + sum(other < sign * own.mean for other in means)
    return f"is number {place} of {len(means)} by {metric.label}: {text}"
