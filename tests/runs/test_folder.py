"""What a run folder keeps of the starts of its run."""

import json

from skipln.runs.folder import RunFolder
from skipln.runs.source import Source

CPU = {"commit": "a" * 12, "dirty": False, "precision": "fp32", "device": "cpu", "time": "1"}
GPU = CPU | {"precision": "bf16", "device": "NVIDIA H100", "time": "2"}


def test_a_record_tells_of_the_earlier_environments_its_updates_were_made_in(tmp_path):
    folder, clean = RunFolder(tmp_path), Source("a" * 12)
    assert folder.write_start(0, CPU, clean) == {}
    assert folder.write_start(0, CPU | {"time": "2"}, clean) == {}  # from the beginning again
    assert folder.write_start(40, CPU | {"time": "3"}, clean) == {}  # the same machine, later
    assert folder.write_start(80, GPU, clean) == {"earlier": [{k: v for k, v in CPU.items() if k != "time"}]}
    # The checkpoint at 80 was damaged: nothing of what the GPU did is left.
    assert folder.write_start(60, CPU, clean) == {}
    assert len((tmp_path / "starts.jsonl").read_text().splitlines()) == 3


def test_damaged_starts_stop_no_run(tmp_path):
    (tmp_path / "starts.jsonl").write_text('{"update": 0}\n{"upd')
    assert RunFolder(tmp_path).write_start(40, CPU, Source("")) == {}
    assert json.loads((tmp_path / "starts.jsonl").read_text())["update"] == 40


def test_what_is_not_committed_is_kept(tmp_path):
    code = Source("a" * 12, b"diff --git a/x b/x\n")
    RunFolder(tmp_path).write_start(0, CPU, code)
    assert (tmp_path / f"uncommitted-{code.digest}.patch").read_bytes() == code.patch
