"""The interval in which further runs of the published ones would lie."""

import math
import statistics
from collections.abc import Sequence

from skipln.tables.statistics.runs import FEWEST, LEVEL


def prediction_interval(published: Sequence[float], further: int = 1) -> tuple[float, float] | None:
    """The interval that contains the mean of `further` runs with a probability of 95 %: mean ± t·s·√(1/further + 1/n),
    with t on n − 1 degrees of freedom. None with fewer than FEWEST runs, when it would contain almost anything."""
    n = len(published)
    if n < FEWEST:
        return None
    from scipy import stats

    half = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * statistics.stdev(published) * math.sqrt(1 / further + 1 / n)
    mean = statistics.fmean(published)
    return mean - half, mean + half
