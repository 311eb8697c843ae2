"""A published run made again: it is equal, lies inside or outside the prediction interval, or has another verdict."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from scripts.rerun import _again as again_of
from scripts.rerun import compared, evaluated, main
from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.runs.reading import Result
from skipln.tables import store
from skipln.tables.statistics.prediction import prediction_interval

ROOT = Path(__file__).resolve().parents[2]
CELL = "table2/demo/xskip_ln_1/seed1"
WRITE = """
import sys, pathlib
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "result.json").write_text(sys.argv[2])
"""


@pytest.fixture
def records(tmp_path, monkeypatch) -> list[store.Record]:
    shutil.copytree(ROOT / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return [r for r in store.read_records(Path("results/demo/table2")) if r.row == "xskip_ln_1"]


def again(record: store.Record, **changes: object) -> Result:
    content = record.model_dump(exclude={"table", "row", "column", "seed", "overrides", "config"})
    return Result.model_validate(content | changes)


def run(cell: str, result: Result) -> int:
    """Run the command with a trainer that writes `result`."""
    trainer = [sys.executable, "-c", WRITE, f"runs/rerun/{result.hash}", json.dumps(result.model_dump())]
    return main([cell, "--results", "results"], trainer)


def test_the_runs_that_an_evaluation_tests_are_made_first(records, monkeypatch):
    """An attack of table 11 has a source and a target; with both the same form, that run is made once."""
    attacks = [r for r in store.read_records(Path("results/demo/table11")) if r.row == "skip_pgd" and r.seed == 1]
    trained = {r.hash: r for r in store.read_records(Path("results/demo/table11")) if not r.config.get("inputs")}
    monkeypatch.setattr(
        subprocess, "run", lambda command, check: started.append(command) or SimpleNamespace(returncode=1)
    )
    for attack in attacks[:3]:
        started: list[list[str]] = []
        cell = f"table11/demo/{attack.row}/{attack.column}/seed1"
        assert main([cell, "--results", "results"], []) == 1
        needed = list(dict.fromkeys(attack.config["inputs"]))
        assert [compose(command).hash for command in started] == [needed[0]]  # it failed, so nothing else was started
        assert evaluated(attack, Path("results")) == [trained[name] for name in needed]


def test_an_evaluation_of_an_unpublished_run_is_one_line(records):
    attack = next(r for r in store.read_records(Path("results/demo/table11")) if r.config.get("inputs"))
    lost = attack.model_copy(update={"config": {**attack.config, "inputs": ["0123456789ab"]}})
    with pytest.raises(UserError, match="evaluates run 0123456789ab, which is not published"):
        evaluated(lost, Path("results"))


def test_an_equal_run_agrees_and_leaves_results_unchanged(records, capsys):
    before = Path("results/demo/table2/records.jsonl").read_bytes()
    assert run(CELL, again(records[0])) == 0
    said = capsys.readouterr().out
    assert "the same machine, versions and commit" in said and ": equal" in said and said.endswith("\nagrees\n")
    assert Path("results/demo/table2/records.jsonl").read_bytes() == before


def test_on_the_same_machine_another_number_disagrees(records, capsys):
    assert run(CELL, again(records[0], metrics={"bleu": 17.0, "chrf": 40.0})) == 1
    assert "NOT equal" in capsys.readouterr().out


def test_on_another_machine_the_prediction_interval_decides(records):
    record, elsewhere = records[0], {**records[0].environment, "cpu": "another"}
    siblings = [record.model_copy(update={"metrics": {"bleu": value}}) for value in (17.0, 18.0, 19.0)]
    published = siblings[0]
    for bleu, agrees in ((19.5, True), (23.0, False), (17.0, True)):
        lines, found = compared(published, siblings, again(published, metrics={"bleu": bleu}, environment=elsewhere))
        assert found is agrees, lines
        assert lines[0] == "different: cpu"
    lines, found = compared(published, siblings[:2], again(published, metrics={"bleu": 90.0}, environment=elsewhere))
    assert found is None and "n = 2 published runs are too few" in lines[1]


def test_another_verdict_disagrees(records, capsys):
    assert run(CELL, again(records[0], state="diverged", metrics={}, message="training loss nan at update 7")) == 1
    assert "does NOT agree" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("table2", "give it as TABLE/SCALE/ROW/seedN"),
        ("table1/demo/skip/seed1", "choose a column: skip/digits/seed1, skip/digits_post/seed1"),
        ("table2/demo/skip/seed9", "no such published run"),
        ("table9/demo/skip/seed1", "no such published run"),
    ],
)
def test_a_mistake_is_one_line(records, capsys, cell, said):
    assert main([cell, "--results", "results"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["paths.cache=${oc.env:HOME}", "tracker=wandb", "+launcher.setup=[id]", "--config-dir=x"]
)
def test_an_override_that_would_act_here_is_refused(records, capsys, text):
    """Such keys are not part of a run's hash, so the record of somebody else could have them."""
    path = Path("results/demo/table2/records.jsonl")
    path.write_text(path.read_text().replace('"overrides":[', f'"overrides":["{text}",'))
    assert main([CELL, "--results", "results"]) == 2
    error = capsys.readouterr().err
    assert f"its record has the override {text}: " in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"inputs":[]', '"inputs":5'),
        ('"inputs":[]', '"inputs":[[1]]'),
        ('"precision":{', '"precision":"fp32","x":{'),
        ('"training":{', '"training":[],"x":{'),
        ('"task":{', '"task":{"valid_sentences":[1],"x":0},"y":{'),
    ],
)
def test_an_odd_configuration_is_one_line(records, capsys, old, new):
    path = Path("results/demo/table2/records.jsonl")
    whole = path.read_text()
    assert old in whole
    path.write_text(whole.replace(old, new))
    assert main([CELL, "--results", "results"]) == 2
    error = capsys.readouterr().err
    assert "records.jsonl, line 1: damaged (config" in error and error.count("\n") == 1


def test_the_threads_of_a_record_are_a_number_or_nothing(records):
    """A text would be resolved, and what it stands for shown in the line that refuses it."""
    for threads, said in ((2, ["compute.threads=2"]), ("${oc.env:HOME}", []), ([1], []), (True, [])):
        record = records[0].model_copy(update={"environment": {**records[0].environment, "threads": threads}})
        assert [text for text in again_of(record, []) if text.startswith("compute.threads")] == said


def test_95_percent_of_runs_lie_in_the_prediction_interval():
    draws = np.random.default_rng(0).normal(20, 3, (2000, 6))
    intervals = [prediction_interval(row[:5].tolist()) for row in draws]
    inside = [low <= row[5] <= high for row, (low, high) in zip(draws, intervals, strict=True)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
    low, high = prediction_interval([1.0, 2.0, 3.0])
    assert high - 2 == pytest.approx(stats.t.ppf(0.975, 2) * np.sqrt(4 / 3)) and low == pytest.approx(4 - high)
    assert prediction_interval([1.0, 2.0]) is None
