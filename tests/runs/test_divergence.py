"""The criterion of divergence: it remembers an explosion, forgives a high start, and does not depend on rounding."""

import math

import pytest

from skipln.runs.divergence import Divergence, judge

ABOVE, AFTER = 20.0, 100
# The mean losses of windows of ten updates of one run (digits, ResNet-56, xSkip λ = 2, seed 1) on two processors. On
# one the explosion overflows; on the other it does not, but the units die, which leaves the loss of a guess, ln 10.
OVERFLOWS = [1.7e3, 1.5e4, 2.4e8, 1.1e14, 2.1e22, math.nan]
DIES = [1.7e3, 1.5e4, 2.4e8, 1.1e14, 2.1e22, 9.0e25, 2.5e26, 3e4, 40.0, 2.31, *[2.303] * 20]


def judged(losses: list[float]) -> tuple[int, str] | None:
    return judge([(10 * (i + 1), loss) for i, loss in enumerate(losses)], ABOVE, AFTER)


def test_the_verdict_does_not_depend_on_what_comes_after_the_explosion():
    assert (
        judged(OVERFLOWS) == judged(DIES) == (30, "training loss 2.4e+08 at update 30, 1.4e+05 times the lowest before")
    )


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("update", [0, 3, 12])
def test_a_loss_that_is_not_finite_is_a_divergence_at_once(broken, update):
    assert judged([2.0] * update + [broken, 2.0])[0] == 10 * (update + 1)


def test_an_explosion_counts_before_and_after_the_warm_up_and_from_any_level():
    assert judged([2.3, 2.2, 25.0, 2.2])[0] == 30
    assert judged([2.3] * 15 + [25.0, 2.2])[0] == 160
    assert judged([5e16, 2.8e23, 2e20, *[2.303] * 20])[0] == 20  # from a start that is high already
    assert judged([1e5, 300.0, 40.0, 400.0, 30.0, 3.0])[0] == 40  # and on the way down


def test_a_high_start_alone_is_no_divergence():
    assert judged([1e16, 1e9, 1700.0, 900.0, 1200.0, 60.0, 21.0, 9.0, 3.0, *[2.0] * 20]) is None
    assert judged([1700.0, 1400.0, *[185.0] * 20]) == (110, "training loss 185 at update 110, still above 20")


def test_noise_is_no_divergence():
    assert judged([2.3, 0.02, 1.5, 19.9, 0.001, 5.0] * 5) is None  # a thousandfold rise that stays below 20 nats


def test_a_resumed_run_keeps_its_lowest_loss():
    assert Divergence(ABOVE, AFTER, lowest=2.0).verdict(40, 30.0)
    assert Divergence(ABOVE, AFTER).verdict(40, 30.0) is None


def test_a_loss_of_0_causes_no_division_by_zero():
    assert judged([0.0, 0.0, 25.0])[0] == 30
