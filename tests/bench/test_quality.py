"""Every implementation of a residual site is trained with the same seeds, and a failed run is one line."""

import json
import sys

from scripts.bench.studies import quality


def test_every_implementation_is_scored(tiny, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setitem(quality.TEXTS, "small", ("a tiny text", tiny))
    monkeypatch.setattr(quality, "RUNS", tmp_path)
    monkeypatch.setattr(quality, "write", kept.append)
    monkeypatch.setattr(quality, "write_page", lambda: None)
    short = ["training.updates=5", "training.average=1"]
    monkeypatch.setattr(sys, "argv", ["quality", "--seeds", "1", "--scale", "small", *short])
    assert quality.main() == 0
    assert kept[0]["name"] == "quality-small"
    assert {path: len(values) for path, values in kept[0]["scores"]["of"].items()} == dict.fromkeys(quality.PATHS, 1)
    losses = [json.loads(path.read_text().splitlines()[0])["train/loss"] for path in tmp_path.rglob("metrics.jsonl")]
    assert len(set(losses)) == 3  # the kernel draws its own dropout, so equal losses would show equal implementations
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["0", "always"]


def test_a_run_that_fails_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quality, "RUNS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["quality", "--seeds", "1", "--scale", "small", f"data.dir={tmp_path / 'none'}"])
    assert quality.main() == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: quality: seed 1, plain steps: ")


def test_a_mistake_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["quality", "--seeds", "1", "skip=no_such"])
    assert quality.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
