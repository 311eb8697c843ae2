"""Signals are noted, obeyed after a checkpoint is saved, and passed on to earlier handlers."""

import json
import signal
from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.engine import loop
from skipln.engine.run import execute
from skipln.engine.signals import Interruptions
from skipln.engine.update.schedule import learning_rate
from skipln.system.processes import interrupting


@pytest.fixture
def scheduler():
    """Install a scheduler's handler of SIGUSR2, as submitit does, and list the signals it receives."""
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGUSR2, before)


def test_a_signal_with_an_earlier_handler_is_passed_on_and_not_final(scheduler):
    with Interruptions() as interruptions:
        signal.raise_signal(signal.SIGUSR2)
        assert interruptions
        assert not interruptions.final
        assert interruptions.names == "SIGUSR2"
        assert scheduler == []
        interruptions.hand_on()
        assert scheduler == [signal.SIGUSR2]
        assert not interruptions


def test_a_signal_without_an_earlier_handler_is_final():
    with Interruptions() as interruptions:
        signal.raise_signal(signal.SIGTERM)
        assert interruptions.final
        interruptions.hand_on()


def test_a_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt), Interruptions():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_comes_too_late_is_still_passed_on(scheduler):
    with Interruptions():
        signal.raise_signal(signal.SIGUSR2)
    assert scheduler == [signal.SIGUSR2]


def test_outside_training_only_signals_without_a_handler_interrupt(scheduler):
    with interrupting():
        signal.raise_signal(signal.SIGUSR2)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert scheduler == [signal.SIGUSR2]


class Requeued(BaseException):
    """Stands in for a scheduler's handler that does not return."""


@pytest.mark.parametrize("ends", [False, True])
def test_a_run_saves_before_the_scheduler_acts(ends, tiny, tmp_path, monkeypatch):
    """It does so in the middle of a log window. Whether or not it may continue, the curve is the same."""
    overrides = [*tiny, "training.log_every=5", "training.checkpoint_every=10"]
    whole = compose([*overrides, f"paths.runs={tmp_path / 'whole'}"])
    assert execute(whole) == "done"

    config = compose([*overrides, f"paths.runs={tmp_path / 'broken'}"])
    told: list[dict] = []

    def signalled(schedule, peak, update, updates):
        if update == 13:
            signal.raise_signal(signal.SIGUSR2)
        return learning_rate(schedule, peak, update, updates)

    def act(number, frame):
        told.append(json.loads((config.folder / "status.json").read_text()))
        assert (config.folder / "checkpoints" / "state-00000013.pt").exists()
        if ends:
            raise Requeued

    monkeypatch.setattr(loop, "learning_rate", signalled)
    before = signal.signal(signal.SIGUSR2, act)
    try:
        if ends:
            with pytest.raises(Requeued):
                execute(config)
            monkeypatch.setattr(loop, "learning_rate", learning_rate)
        assert execute(config) == "done"
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert [(status["state"], status["message"]) for status in told] == [("interrupted", "by SIGUSR2 at update 13")]
    assert curve(config.folder) == curve(whole.folder)


def curve(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("wall", "tokens_per_second")} for line in lines]
