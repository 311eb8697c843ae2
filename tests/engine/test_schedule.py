import pytest

from skipln.configuration.schema import InverseSqrt, Steps, Warmup
from skipln.engine.update.schedule import learning_rate


def test_inverse_sqrt_is_the_schedule_of_vaswani_et_al():
    """It is d^-.5 · min(t^-.5, t · warmup^-1.5), given by its peak d^-.5 · warmup^-.5."""
    schedule = InverseSqrt(name="inverse_sqrt", warmup=4000)
    peak = 512**-0.5 * 4000**-0.5
    for t in (1, 100, 4000, 4001, 100_000):
        expected = 512**-0.5 * min(t**-0.5, t * 4000**-1.5)
        assert learning_rate(schedule, peak, t, 100_000) == pytest.approx(expected)


def test_steps_are_those_of_he_et_al_with_the_warmup_of_deep_nets():
    schedule = Steps(name="step", milestones=[32_000, 48_000], factor=0.1, warmup=400, warmup_factor=0.1)
    rates = [learning_rate(schedule, 0.1, t, 64_000) for t in (1, 400, 401, 32_000, 32_001, 48_000, 48_001)]
    assert rates == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.01, 0.01, 0.001])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("linear", [0.5, 1, 0.75, 0.5, 0]), ("cosine", [0.5, 1, 0.853553, 0.5, 0]), ("constant", [0.5, 1, 1, 1, 1])],
)
def test_other_schedules_after_the_warmup(name, expected):
    schedule = Warmup(name=name, warmup=20)
    assert [learning_rate(schedule, 1.0, t, 100) for t in (10, 20, 40, 60, 100)] == pytest.approx(expected)
