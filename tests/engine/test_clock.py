"""Setting the clock while a run trains: durations come from the monotonic clock, and time stamps decide nothing."""

import itertools
import json
from datetime import datetime, timedelta

import pytest

from skipln.configuration.composition import compose
from skipln.engine import environment
from skipln.engine.run import execute
from skipln.runs import folder
from skipln.runs.reading import read_metrics, read_state

YEAR = timedelta(days=365)
JUMPS = (YEAR, -YEAR, timedelta(0), -3 * YEAR, 40 * YEAR)


@pytest.fixture
def wild(monkeypatch):
    """Every reading of the clock is years away from the last."""
    jumps = itertools.cycle(JUMPS)

    class Wild(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + next(jumps)

    monkeypatch.setattr("time.time", lambda: Wild.now().timestamp())
    for module in (environment, folder):
        monkeypatch.setattr(module, "datetime", Wild)


def test_jumps_of_the_clock_do_not_change_a_run(tiny, tmp_path, interrupt, wild):
    """An interrupted and a whole run, both under a time limit that a jump must not reach."""
    overrides = [*tiny, "training.updates=12", "training.log_every=4", "training.checkpoint_every=4"]
    broken = compose([*overrides, f"paths.runs={tmp_path / 'broken'}", "training.wall_limit=3600"])
    whole = compose([*overrides, f"paths.runs={tmp_path / 'whole'}", "training.wall_limit=3600"])
    assert execute(whole) == "done"
    interrupt(broken, 7)
    assert read_state(broken.folder).state == "interrupted"
    assert execute(broken) == "done"
    for config in (whole, broken):
        result = json.loads((config.folder / "result.json").read_text())
        assert 0 <= result["train_seconds"] < 600 and 0 <= result["test_seconds"] < 600
        walls = [point["wall"] for point in read_metrics(config.folder) if "wall" in point]
        assert walls == sorted(walls) and walls[0] >= 0 and walls[-1] < 600
        assert result["update"] == 12  # the limit was not reached
    losses = [[point.get("train/loss") for point in read_metrics(config.folder)] for config in (whole, broken)]
    assert losses[0] == losses[1]
