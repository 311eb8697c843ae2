"""Committed results agree with each other, and every kind of disagreement is found."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scripts.verify_results import main
from skipln.tables import store

ROOT = Path(__file__).resolve().parents[2]
Lines = list[dict]


@pytest.fixture
def table(tmp_path) -> Path:
    """A copy of the small table 2, which has tests over sentences and runs that diverged."""
    return Path(shutil.copytree(ROOT / "results/small/table2", tmp_path / "small/table2"))


def change(path: Path, how: Callable[[Lines], Lines | None]) -> None:
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    lines = how(lines) or lines
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")


def explode(lines: Lines) -> None:
    group = next(group for line in lines if line["hash"] == "7c01323e50e1" for group in line["groups"] if "lr" in group)
    group["train/loss"][40] = 1e9


DAMAGE: dict[str, tuple[str, Callable[[Lines], Lines | None], str]] = {
    "a score": (
        "records.jsonl",
        lambda lines: lines[-1]["metrics"].update(bleu=30.0),
        "do not give the BLEU of its record",
    ),
    "a curve": ("curves.jsonl", explode, "run 7c01323e50e1 diverged according to its curve"),
    "no curve": ("curves.jsonl", lambda lines: lines[1:], "has no curve"),
}


def test_unchanged_results_agree(table, capsys):
    assert main(["--results", str(table.parents[1])]) == 0
    said = capsys.readouterr().out
    runs = len(store.read_records(table))
    assert said.startswith(f"1 tables of {runs} runs and 0 figures recomputed: 0 disagree\n")
    assert re.search(r"(\d+) of \1 finished runs that keep them", said)


@pytest.mark.parametrize("what", DAMAGE)
def test_every_disagreement_is_found(table, capsys, what):
    name, how, said = DAMAGE[what]
    change(table / name, how)
    assert main(["--results", str(table.parents[1])]) == 1
    assert said in capsys.readouterr().out


def test_changed_sentence_statistics_are_found(table, capsys):
    """One n-gram match more in one run is enough."""
    kept = store.read(table)
    record = next(record for record in kept.records if record.state == "done")
    kept.examples[record.hash][:, 5] += np.eye(1000)[0]
    store.write(table, kept)
    assert main(["--results", str(table.parents[1])]) == 1
    said = capsys.readouterr().out
    assert "table.csv: differs from what its numbers give" in said or "do not give the BLEU of its record" in said


def test_statistics_without_a_run_are_found(table, capsys):
    (path, *_) = sorted((table / store.EXAMPLES).iterdir())
    shutil.copy(path, path.with_name(f"{'0' * 12}.xz"))
    assert main(["--results", str(table.parents[1])]) == 1
    assert f"examples/{'0' * 12}.xz belongs to no run in the records" in capsys.readouterr().out


def test_edited_and_missing_pages_are_found(table, capsys):
    page = table / "table.md"
    page.write_text(page.read_text("utf-8").replace("35.0", "36.0"), "utf-8")
    (table / "table.tex").unlink()
    assert main(["--results", str(table.parents[1])]) == 1
    found = capsys.readouterr().out
    assert "table.md: differs from what its numbers give" in found and "table.tex: differs" in found
