"""Thinning a curve keeps its ends, order and values."""

from hypothesis import given
from hypothesis import strategies as st

from skipln.tables.series import POINTS, thinned


@given(st.integers(1, 1500))
def test_thinning_keeps_ends_and_order(count: int) -> None:
    [group] = thinned(
        [{"update": i, "tokens": 9 * i, "wall": 0.5 * i, "train/loss": 1 / i} for i in range(1, count + 1)]
    )
    assert group["update"][0] == 1
    assert group["update"][-1] == count
    assert len(group["update"]) == min(count, POINTS) == len(set(group["update"]))
    assert group["update"] == sorted(group["update"])
    assert group["tokens"] == [9 * update for update in group["update"]]


def test_training_and_validation_points_stay_apart() -> None:
    where = {"update": 5, "epoch": 0, "tokens": 10, "wall": 1.0}
    train, valid = thinned([where | {"train/loss": 2.0, "lr": 1e-3}, where | {"valid/bleu": 1.23456789}])
    assert train == {"update": [5], "tokens": [10], "wall": [1.0], "train/loss": [2.0], "lr": [1e-3]}
    assert valid == {"update": [5], "tokens": [10], "wall": [1.0], "valid/bleu": [1.2346]}


def test_nan_becomes_none_and_the_last_of_two_logs_counts() -> None:
    losses = [(1, 3.0), (2, 9.0), (2, 2.0), (3, float("nan")), (4, float("inf"))]
    [group] = thinned([{"update": update, "train/loss": loss} for update, loss in losses])
    assert group == {"update": [1, 2, 3, 4], "train/loss": [3.0, 2.0, None, None]}
