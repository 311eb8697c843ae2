"""What a run folder keeps of its run's starts and result."""

import json
import os

import pytest
from pydantic import ValidationError

from skipln.runs.folder import MetricsLog, RunFolder
from skipln.runs.result import Data, Result
from skipln.runs.source import Source
from skipln.system.places import ROOT

CPU = {"commit": "a" * 12, "dirty": False, "precision": "fp32", "device": "cpu", "time": "1"}
GPU = CPU | {"precision": "bf16", "device": "NVIDIA H100", "time": "2"}


def test_a_result_lists_earlier_environments_of_its_updates(tmp_path):
    folder, clean = RunFolder(tmp_path), Source("a" * 12)
    assert folder.write_start(0, CPU, clean) == {}
    assert folder.write_start(0, CPU | {"time": "2"}, clean) == {}  # from the beginning again
    assert folder.write_start(40, CPU | {"time": "3"}, clean) == {}  # the same machine, later
    assert folder.write_start(80, GPU, clean) == {"earlier": [{k: v for k, v in CPU.items() if k != "time"}]}
    # The checkpoint at 80 was damaged, so nothing that the GPU computed is left.
    assert folder.write_start(60, CPU, clean) == {}
    assert len((tmp_path / "starts.jsonl").read_text().splitlines()) == 3


def test_a_damaged_list_of_starts_does_not_stop_a_run(tmp_path):
    (tmp_path / "starts.jsonl").write_text('{"update": 0}\n{"upd')
    assert RunFolder(tmp_path).write_start(40, CPU, Source("")) == {}
    assert json.loads((tmp_path / "starts.jsonl").read_text())["update"] == 40


def test_the_uncommitted_patch_is_kept(tmp_path):
    code = Source("a" * 12, b"diff --git a/x b/x\n")
    RunFolder(tmp_path).write_start(0, CPU, code)
    assert (tmp_path / f"uncommitted-{code.digest}.patch").read_bytes() == code.patch


DATA = Data(name="digits", fingerprint="0a", test_examples=3)


def test_a_written_result_is_read_back(tmp_path):
    """With the same keys: those that were not given are not written with their defaults."""
    folder = RunFolder(tmp_path)
    made = Result(
        hash=tmp_path.name, state="done", update=3, metrics={"error": 0.1 + 0.2}, data=DATA, environment={}, beam=4
    )
    folder.write_result(made)
    found = folder.finished()
    assert found is not None and found.content() == made.content()
    assert not {"parameters", "train_seconds"} & set(json.loads(folder.result.read_text()))


@pytest.mark.parametrize("odd", [{"state": "running"}, {"metrics": {"error": float("inf")}}, {"update": 2.0}])
def test_a_result_that_readers_would_refuse_cannot_be_made(odd):
    with pytest.raises(ValidationError):
        Result(**{"hash": "a", "state": "done", "update": 3, "metrics": {}, "data": DATA, "environment": {}} | odd)


def test_a_result_with_an_environment_that_readers_would_refuse_is_not_written(tmp_path):
    folder = RunFolder(tmp_path)
    environment = {"threads": float("nan")}
    with pytest.raises(ValueError, match="not finite"):
        folder.write_result(
            Result(hash=tmp_path.name, state="done", update=3, metrics={}, data=DATA, environment=environment)
        )
    assert not folder.result.exists()


def test_the_log_is_synced_before_a_state_counts_its_lines(tmp_path, monkeypatch):
    """A power cut must not take lines that a checkpoint knows of."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    log = MetricsLog(tmp_path / "metrics.jsonl", 0)
    log.append(update=1, loss=2.5)
    state = log.synced()
    assert synced == [(tmp_path / "metrics.jsonl").stat().st_ino]
    log.append(update=2, loss=2.0)
    RunFolder(tmp_path).check_log(state)
    assert MetricsLog(tmp_path / "metrics.jsonl", state["log_offset"]).synced() == state


def test_the_architecture_lists_every_file_of_a_run(tmp_path):
    table = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("| file | content |")[1].split("\n\n")[0]
    names = {path.name for path in vars(RunFolder(tmp_path)).values()} - {tmp_path.name}
    for name in names | {"config.yaml", "starts.jsonl", "status.json", "ticket.json", "log.txt"}:
        assert f"`{name}" in table
