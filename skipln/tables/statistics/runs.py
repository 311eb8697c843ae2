"""Test whether two sets of runs differ by more than other seeds would explain. The unit is the run."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 3  # runs per side: with two, the standard deviation is too uncertain for a test
POWER = 0.8
LEVEL = 0.05
METHOD = "Welch's t-test over runs"


@dataclass(frozen=True)
class RunsTest:
    """A system's mean minus the baseline's, in the metric's unit.

    low, high: the 95 % confidence interval. p: two-sided, for the hypothesis "no difference". detectable: the true
    difference that such a test finds with a probability of 80 %, given as many runs that vary as much.
    """

    difference: float
    low: float
    high: float
    p: float
    detectable: float


def over_runs(system: Sequence[float], baseline: Sequence[float]) -> RunsTest | None:
    """Welch's t-test (1947) for two sets of independent runs, whose variances may differ.

    t = (mean₁ − mean₂) / s with s² = s₁²/n₁ + s₂²/n₂, on the degrees of freedom of Welch and Satterthwaite. None with
    fewer than FEWEST runs on a side, or if the runs within each side are all equal. A permutation test would be exact
    without normality, but cannot go below p = 0.1 with three runs per side.
    """
    if min(len(system), len(baseline)) < FEWEST:
        return None
    parts = [statistics.variance(runs) / len(runs) for runs in (system, baseline)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return None
    from scipy import stats  # slow to load, and most tables have too few runs

    df = sum(parts) ** 2 / sum(part**2 / (len(runs) - 1) for part, runs in zip(parts, (system, baseline), strict=True))
    difference = statistics.fmean(system) - statistics.fmean(baseline)
    half = float(stats.t.ppf(1 - LEVEL / 2, df)) * error
    p = 2 * float(stats.t.sf(abs(difference) / error, df))
    return RunsTest(difference, difference - half, difference + half, p, error * _detectable(df))


def _detectable(df: float) -> float:
    """The non-centrality at which a two-sided t-test at LEVEL, on `df` degrees of freedom, has the power POWER."""
    from scipy import optimize, stats

    critical = stats.t.ppf(1 - LEVEL / 2, df)
    return float(optimize.brentq(lambda shift: stats.nct.sf(critical, df, shift) - POWER, 0.0, 3 * critical))
