"""The test over runs against scipy's, and its power and false alarms against simulation."""

import numpy as np
import pytest
from scipy import stats

from skipln.tables.statistics.runs import FEWEST, METHOD, over_runs


@pytest.mark.parametrize("sizes", [(3, 3), (3, 5), (5, 4), (12, 30)])
@pytest.mark.parametrize("spread", [0.1, 1.0, 7.0])
def test_the_test_is_welchs(sizes, spread):
    rng = np.random.default_rng(sum(sizes))
    a, b = rng.normal(20, spread, sizes[0]), rng.normal(19, 1, sizes[1])
    found, expected = over_runs(list(a), list(b)), stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (found.difference, found.p) == pytest.approx((a.mean() - b.mean(), expected.pvalue))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    mirror = over_runs(list(b), list(a))
    assert (mirror.low, mirror.high, mirror.p) == pytest.approx((-found.high, -found.low, found.p))


def test_too_few_runs_and_runs_without_spread_are_not_tested():
    assert FEWEST == 3 and METHOD.startswith("Welch")
    assert over_runs([17.1, 18.2], [19.0, 19.1, 19.2]) is None
    assert over_runs([17.1, 18.2, 17.0], [19.0, 19.1]) is None
    assert over_runs([90.0] * 3, [90.0] * 3) is None
    assert over_runs([90.0] * 3, [90.0, 89.9, 90.1]) is not None


@pytest.mark.parametrize("n", [3, 5, 20])
def test_the_detectable_difference_has_a_power_of_80_percent(n):
    """If runs have the observed spread and this true difference, 80 % of p are below 5 %."""
    rng = np.random.default_rng(n)
    base = stats.norm.ppf((np.arange(n) + 0.5) / n)
    base = (base - base.mean()) / base.std(ddof=1)  # exactly σ = 1 on both sides
    detectable = over_runs(list(base), list(base)).detectable
    a, b = rng.normal(detectable, 1, (20_000, n)), rng.normal(0, 1, (20_000, n))
    found = stats.ttest_ind(a, b, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.015)


def test_three_runs_per_side_give_about_5_percent_false_alarms():
    """For equal systems with unequal variances, about 5 % of p are below 0.05, and as many intervals exclude 0."""
    rng = np.random.default_rng(0)
    tests = [over_runs(rng.normal(0, 1, 3).tolist(), rng.normal(0, 2, 3).tolist()) for _ in range(300)]
    assert 0.01 < np.mean([test.p < 0.05 for test in tests]) < 0.1
    assert all((test.p < 0.05) == (test.low > 0 or test.high < 0) for test in tests)
