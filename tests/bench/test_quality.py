"""Both ways through a site are trained on the same seeds, and a run that fails is one line."""

import json
import sys

from scripts.bench import quality


def test_scores_of_both_ways(tiny, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(quality, "RECIPE", [*tiny, "training.updates=5", "training.average=1"])
    monkeypatch.setattr(quality, "RUNS", tmp_path)
    monkeypatch.setattr(quality, "write", kept.append)
    monkeypatch.setattr(quality, "write_page", lambda: None)
    monkeypatch.setattr(sys, "argv", ["quality", "--seeds", "1"])
    assert quality.main() == 0
    assert {path: len(values) for path, values in kept[0]["scores"]["of"].items()} == {"kernel": 1, "plain steps": 1}
    losses = [json.loads(path.read_text().splitlines()[0])["train/loss"] for path in tmp_path.rglob("metrics.jsonl")]
    assert len(set(losses)) == 2  # the kernel draws its own dropout: equal ones would be those of the same way
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["0", "always"]


def test_a_run_that_fails_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(quality, "RECIPE", ["scale=demo", "skip=no_such"])
    monkeypatch.setattr(sys, "argv", ["quality", "--seeds", "1"])
    assert quality.main() == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: quality: seed 1, ")
