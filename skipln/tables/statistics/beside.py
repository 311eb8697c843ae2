"""Compare your runs of a cell with the published ones: do they lie where further runs of ours would?"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from skipln.tables.equal_data import same
from skipln.tables.statistics.prediction import prediction_interval
from skipln.tables.statistics.runs import FEWEST
from skipln.tables.store import Record

Verdict = Literal["inside", "outside", "as diverged", "n too small", "other data", "the same runs", ""]


@dataclass(frozen=True)
class Place:
    """Where your runs lie. `interval`: it contains the mean of as many further runs of ours with a probability of 95 %;
    None if there is nothing to say."""

    verdict: Verdict
    interval: tuple[float, float] | None = None


def place(yours: Sequence[Record], published: Sequence[Record], metric: str) -> Place:
    """Where `yours` lie relative to `published`, all of one row and column.

    Runs of yours that are the published ones themselves are left out. Given at least FEWEST published runs, yours lie
    outside if all of yours diverged and none of those did, or if some of yours finished and all of those diverged. If
    only some diverged, the finished ones are compared.
    """
    if not yours or not published:
        return Place("")
    measured = {(r.hash, str(r.environment.get("time"))) for r in published}
    yours = [r for r in yours if (r.hash, str(r.environment.get("time"))) not in measured]
    if not yours:
        return Place("the same runs")
    if {same(r.data.fingerprint) for r in yours} != {same(r.data.fingerprint) for r in published}:
        return Place("other data")
    ours, mine = (
        [v for r in side if r.state == "done" and (v := r.metrics.get(metric)) is not None]
        for side in (published, yours)
    )
    if not ours and not mine:
        return Place("as diverged")
    if not ours or not mine:  # all of one side diverged; only many published runs tell whether some of ours do
        some = 0 < len(ours) < len(published)
        return Place("n too small" if some or len(published) < FEWEST else "outside")
    interval = prediction_interval(ours, len(mine))
    if interval is None:
        return Place("n too small")
    return Place("inside" if interval[0] <= statistics.fmean(mine) <= interval[1] else "outside", interval)
