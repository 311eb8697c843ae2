"""A real run with W&B, killed and continued."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from tests.tracking.server import Server

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_killed_and_continued_run_is_one_curve(server: Server, tiny: list[str], tmp_path: Path) -> None:
    length = ["training.updates=60", "training.log_every=3", "training.checkpoint_every=10"]
    overrides = [*tiny, *length, f"paths.runs={tmp_path / 'runs'}", "tracker=wandb", "tracker.group=table2/post_ln"]
    config = compose(overrides)
    assert config.hash == compose(overrides[:-2]).hash
    command = [sys.executable, "-m", "skipln.train", *overrides]

    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (config.folder / "wandb.json").exists() or not list(config.folder.glob("checkpoints/state-*.pt")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)
    assert found.returncode == 0
    assert "note:" not in found.stderr

    [run] = server.runs.values()
    assert run.name == config.hash
    lines = (config.folder / "metrics.jsonl").read_text().splitlines()
    assert run.points == [json.loads(line) for line in lines]
    assert (run.exit_code, run.summary["state"]) == (0, "done")
    assert run.summary["test/bleu"] == json.loads((config.folder / "result.json").read_text())["metrics"]["bleu"]
    assert "test/chrf" in run.summary
    assert {"commit", "cpu", "torch"} <= run.values["environment"].keys()


@pytest.mark.slow
def test_training_does_not_wait_for_a_hanging_server(server: Server, tiny: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "skipln.train", *tiny, f"paths.runs={tmp_path / 'runs'}", "tracker=wandb"]
    with server.hanging():
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)
    assert found.returncode == 0
    [result] = (tmp_path / "runs").glob("*/result.json")
    assert json.loads(result.read_text())["state"] == "done"
    assert found.stderr.count("note: W&B") == 1
