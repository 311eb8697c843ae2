"""A column's answer in words: what its numbers support, and what they do not."""

from collections.abc import Sequence

from skipln.tables.presentation.text import NO_DATA, value
from skipln.tables.statistics.runs import FEWEST
from skipln.tables.statistics.summary import Block, Entry


def answer(block: Block) -> str:
    """In the first metric: the best mean, what a test over runs tells from its baseline, and what diverged."""
    metric = block.metrics[0]
    direction = f"{metric.label}, {'more' if metric.better == 'higher' else 'less'} is better"
    finished = [entry for entry in block.entries if metric.key in entry.values]
    parts = [f"{block.column.label} ({direction}): {NO_DATA if block.lacks_data else 'no run is finished'}"]
    if finished:
        sign = 1 if metric.better == "higher" else -1
        best = max(finished, key=lambda entry: sign * entry.values[metric.key].mean)
        parts = [f"{block.column.label} ({direction}): the best mean is {value(block, best, metric)}, {best.row.label}"]
        parts += _tests(block, sign)
    if diverged := [entry for entry in block.entries if entry.diverged]:
        counts = [f"{entry.row.label} ({entry.diverged} of {len(entry.records)})" for entry in diverged]
        parts.append(f"Diverged: {', '.join(counts)}")
    return " ".join(f"{part}." for part in parts)


def _tests(block: Block, sign: int) -> list[str]:
    """A sentence for each baseline that rows were tested against. `sign`: of a difference that is better."""
    tested = [entry for entry in block.entries if entry.test]
    if not tested:
        return [f"No difference is tested: that takes {FEWEST} finished runs of both and none diverged"]
    labels = {entry.row.name: entry.row.label for entry in block.entries}
    found = []
    for baseline in dict.fromkeys(entry.baseline for entry in tested):
        told = [entry for entry in tested if entry.baseline == baseline and entry.significant and entry.difference]
        better, worse = ([entry for entry in told if side * sign * (entry.difference or 0) > 0] for side in (1, -1))
        found.append(f"By a test over runs better than {labels[baseline]}: {_names(better)}; worse: {_names(worse)}")
    return found


def _names(entries: Sequence[Entry]) -> str:
    return ", ".join(entry.row.label for entry in entries) or "none"
