"""One verdict for one event: an explosion is remembered, a start from far away is none, rounding decides nothing."""

import math

import pytest

from skipln.runs.divergence import Divergence, judge

ABOVE, AFTER = 20.0, 100
# The mean loss of each window of ten updates of one run, digits, ResNet-56, xSkip λ = 2, seed 1, on two processors:
# on one the explosion overflows, on the other it does not and the units die, which leaves the loss of a guess, ln 10.
OVERFLOWS = [1.7e3, 1.5e4, 2.4e8, 1.1e14, 2.1e22, math.nan]
DIES = [1.7e3, 1.5e4, 2.4e8, 1.1e14, 2.1e22, 9.0e25, 2.5e26, 3e4, 40.0, 2.31, *[2.303] * 20]


def judged(losses: list[float]) -> tuple[int, str] | None:
    return judge([(10 * (i + 1), loss) for i, loss in enumerate(losses)], ABOVE, AFTER)


def test_one_event_has_one_verdict_whatever_comes_after_it():
    assert (
        judged(OVERFLOWS) == judged(DIES) == (30, "training loss 2.4e+08 at update 30, 1.4e+05 times the lowest before")
    )


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("update", [0, 3, 12])
def test_what_is_not_finite_has_diverged_at_once(broken, update):
    assert judged([2.0] * update + [broken, 2.0])[0] == 10 * (update + 1)


def test_an_explosion_counts_before_and_after_the_warm_up_and_wherever_it_starts():
    assert judged([2.3, 2.2, 25.0, 2.2])[0] == 30
    assert judged([2.3] * 15 + [25.0, 2.2])[0] == 160
    assert judged([5e16, 2.8e23, 2e20, *[2.303] * 20])[0] == 20  # from a start that is far away already
    assert judged([1e5, 300.0, 40.0, 400.0, 30.0, 3.0])[0] == 40  # and from the way down


def test_a_start_from_far_away_is_no_divergence():
    assert judged([1e16, 1e9, 1700.0, 900.0, 1200.0, 60.0, 21.0, 9.0, 3.0, *[2.0] * 20]) is None
    assert judged([1700.0, 1400.0, *[185.0] * 20]) == (110, "training loss 185 at update 110, still above 20")


def test_noise_is_no_divergence():
    assert judged([2.3, 0.02, 1.5, 19.9, 0.001, 5.0] * 5) is None  # a thousandfold rise that stays below 20 nats


def test_a_run_that_goes_on_from_a_checkpoint_keeps_its_lowest():
    assert Divergence(ABOVE, AFTER, lowest=2.0).verdict(40, 30.0)
    assert Divergence(ABOVE, AFTER).verdict(40, 30.0) is None


def test_a_loss_of_nothing_is_no_division_by_zero():
    assert judged([0.0, 0.0, 25.0])[0] == 30
