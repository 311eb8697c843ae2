"""Your runs of a cell beside the published ones: do they lie where other runs of ours would?"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from skipln.tables.statistics.prediction import prediction_interval
from skipln.tables.statistics.runs import FEWEST
from skipln.tables.store import Record

Verdict = Literal["inside", "outside", "as diverged", "n too small", "other data", "the same runs", ""]


@dataclass(frozen=True)
class Place:
    """Where your runs lie; `interval`: what holds the mean of as many further runs of ours with a probability of 95 %,
    where it says anything."""

    verdict: Verdict
    interval: tuple[float, float] | None = None


def place(yours: Sequence[Record], published: Sequence[Record], metric: str) -> Place:
    """Where `yours` lie beside `published`, all of one row and column.

    Runs of yours that are the published ones themselves are left out. Yours that all diverged where none of at least
    FEWEST published ones did, or finished where all of those diverged, lie outside. Where some diverged, the finished
    ones are placed.
    """
    if not yours or not published:
        return Place("")
    measured = {(r.hash, str(r.environment.get("time"))) for r in published}
    yours = [r for r in yours if (r.hash, str(r.environment.get("time"))) not in measured]
    if not yours:
        return Place("the same runs")
    if {r.data.fingerprint for r in yours} != {r.data.fingerprint for r in published}:
        return Place("other data")
    ours, mine = (
        [v for r in side if r.state == "done" and (v := r.metrics.get(metric)) is not None]
        for side in (published, yours)
    )
    if not ours and not mine:
        return Place("as diverged")
    if not ours or not mine:  # one side diverged; whether some of ours do is known from many of them
        some = 0 < len(ours) < len(published)
        return Place("n too small" if some or len(published) < FEWEST else "outside")
    interval = prediction_interval(ours, len(mine))
    if interval is None:
        return Place("n too small")
    return Place("inside" if interval[0] <= statistics.fmean(mine) <= interval[1] else "outside", interval)
