"""Judging committed runs again: the curve decides whether a run diverged, not its end."""

import json

import pytest

from scripts.judge_divergence import main
from skipln.tables import store
from skipln.tables.judging import judged
from skipln.tables.store import Curves, Record


def run(losses: list[float | None], state: str = "done") -> tuple[Record, Curves]:
    updates = [10 * (i + 1) for i in range(len(losses))]
    record = Record(
        hash="a" * 12, state=state, update=updates[-1], metrics={"error": 90.0}, environment={}, table="table1",
        row="xskip", column="digits", seed=1, overrides=[], config={
            "training": {"diverged_above": 20.0, "diverged_after": 100, "log_every": 10}
        }, data={"name": "digits", "fingerprint": "0", "test_examples": 1},
    )  # fmt: skip
    return record, Curves(hash=record.hash, groups=[{"update": updates, "train/loss": losses}])


@pytest.mark.parametrize("losses", [[5e16, 2.8e23, 2e20, 2.3, 2.3], [2.3, 2.3e2, None, 2.3], [2.3, None, 2.3, 2.3]])
def test_a_run_that_exploded_and_came_back_has_diverged(losses):
    record, curves = run(losses)
    found = judged(record, curves)
    assert (found.state, found.update, found.metrics) == ("diverged", 20, {})
    assert "had continued to update" in found.message


def test_other_runs_are_unchanged():
    for losses, state in (
        ([1e16, 1700.0, 2.3], "done"),
        ([2.3, 0.1], "done"),
        ([2.3, 1e9], "diverged"),
        ([2.3], "diverged"),
    ):
        record, curves = run(losses, state)
        assert judged(record, curves) == record


def test_the_command_reports_changes_and_makes_them_only_with_write(tmp_path, capsys):
    folder = tmp_path / "demo" / "table1"
    folder.mkdir(parents=True)
    record, curves = run([2.3, 1e9, 2.3])
    record = record.model_copy(update={"row": "xskip_2"})
    store.write(folder, store.Kept([record], {record.hash: curves}))
    assert main(["--results", str(tmp_path)]) == 1
    assert "demo/table1, xskip_2, digits, seed 1" in (said := capsys.readouterr().out)
    assert "1 runs judged: 1 by every log point, the others by 200 points; 1 records change" in said
    assert json.loads((folder / "records.jsonl").read_text())["state"] == "done"
    assert main(["--results", str(tmp_path), "--write"]) == 0
    assert json.loads((folder / "records.jsonl").read_text())["state"] == "diverged"
    assert "diverged" in (folder / "table.md").read_text()
    assert main(["--results", str(tmp_path)]) == 0
