"""Reading run folders that are complete, torn, damaged or abandoned."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from skipln.runs.reading import read_config, read_examples, read_metrics, read_state
from skipln.runs.result import read_result
from skipln.system.files import locked
from tests.tables import fakes


def test_every_state_is_read(tmp_path: Path) -> None:
    assert read_state(tmp_path / "none").state == "missing"
    for state in ("queued", "running", "interrupted", "failed"):
        fakes.write_status(tmp_path / state, state, message="as it was")
        with locked(tmp_path / state / ".lock"):
            found = read_state(tmp_path / state)
        assert (found.state, found.update, found.updates, found.message) == (state, 10, 20, "as it was")
        assert found.result is None
    for state in ("done", "diverged"):
        fakes.finish(tmp_path / state, state=state)
        assert read_state(tmp_path / state).state == state


def test_a_running_run_without_a_process_on_this_host_is_interrupted(tmp_path: Path) -> None:
    """Its process would hold the folder's lock. Nothing is known about another host."""
    fakes.write_status(tmp_path / "here", "running")
    fakes.write_status(tmp_path / "there", "running", host="another")
    assert read_state(tmp_path / "here").state == "interrupted"
    assert read_state(tmp_path / "there").state == "running"


@pytest.mark.parametrize(
    "text", ["", '{"hash": "run", "sta', '{"hash": "run", "state": "done"}', "[]", '{"state": "won"}']
)
def test_a_damaged_result_is_one_line_and_counts_as_missing(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    fakes.finish(tmp_path / "run")
    (tmp_path / "run" / "result.json").write_text(text)
    assert read_state(tmp_path / "run").state == "missing"
    [message] = caplog.messages
    assert "damaged" in message
    assert "\n" not in message


def test_a_result_of_another_run_or_with_nan_counts_as_missing(tmp_path: Path) -> None:
    fakes.finish(tmp_path / "other", hash="run")
    fakes.finish(tmp_path / "nan", metrics={"bleu": float("nan")})
    assert read_result(tmp_path / "other") is None
    assert read_result(tmp_path / "nan") is None


def test_a_done_run_without_result_counts_as_missing(tmp_path: Path) -> None:
    fakes.write_status(tmp_path / "run", "done")
    assert read_state(tmp_path / "run").state == "missing"


def test_a_torn_line_of_metrics_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fakes.write_metrics(tmp_path, points=3, torn=True)
    assert len(read_metrics(tmp_path)) == 6
    assert "line 7: torn" in caplog.text
    assert read_metrics(tmp_path / "none") == []


def test_damaged_status_examples_and_configuration_are_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for name in ("status.json", "examples.npy", "config.yaml"):
        (tmp_path / name).write_text("{]")
    assert read_state(tmp_path).message == "status.json is damaged"
    assert read_examples(tmp_path) is None
    assert read_config(tmp_path) == {}
    np.save(tmp_path / "examples.npy", np.ones(3))
    assert read_examples(tmp_path) is None


def test_unknown_keys_of_a_result_are_kept(tmp_path: Path) -> None:
    fakes.finish(tmp_path / "run", energy_joules=5)
    result = read_result(tmp_path / "run")
    assert result is not None
    assert json.loads(result.model_dump_json(exclude_unset=True))["energy_joules"] == 5
