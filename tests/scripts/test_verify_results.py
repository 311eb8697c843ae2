"""What is committed agrees with itself, and each kind of disagreement is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.verify_results import main

ROOT = Path(__file__).resolve().parents[2]
Lines = list[dict]


@pytest.fixture
def table(tmp_path) -> Path:
    """A copy of the demo's table 2, which has tests over sentences and runs that diverged."""
    return Path(shutil.copytree(ROOT / "results/demo/table2", tmp_path / "demo/table2"))


def change(path: Path, how: Callable[[Lines], Lines | None]) -> None:
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    lines = how(lines) or lines
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")


def explode(lines: Lines) -> None:
    group = next(group for line in lines if line["hash"] == "e18eb354eafc" for group in line["groups"] if "lr" in group)
    group["train/loss"][40] = 1e9


DAMAGE: dict[str, tuple[str, Callable[[Lines], Lines | None], str]] = {
    "a score": ("records.jsonl", lambda lines: lines[-1]["metrics"].update(bleu=30.0), "differs by"),
    "a curve": ("curves.jsonl", explode, "run e18eb354eafc has diverged by its curve"),
    "no curve": ("curves.jsonl", lambda lines: lines[1:], "has no curve"),
    "a difference": ("comparisons.jsonl", lambda lines: lines[0].update(difference=9.0), "its comparison says 9.0"),
    "a run": ("comparisons.jsonl", lambda lines: lines[0].update(runs=["0" * 12]), "not in the records"),
}


def test_what_agrees_agrees(table, capsys):
    assert main(["--results", str(table.parents[1])]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 tables of 14 runs and 0 figures recomputed: 0 disagree\n")
    assert "the 5 p-values over sentences" in said


@pytest.mark.parametrize("what", DAMAGE)
def test_every_disagreement_is_found(table, capsys, what):
    name, how, said = DAMAGE[what]
    change(table / name, how)
    assert main(["--results", str(table.parents[1])]) == 1
    assert said in capsys.readouterr().out


def test_a_page_that_was_edited_is_found(table, capsys):
    page = table / "table.md"
    page.write_text(page.read_text("utf-8").replace("19.2", "20.2"), "utf-8")
    (table / "table.tex").unlink()
    assert main(["--results", str(table.parents[1])]) == 1
    found = capsys.readouterr().out
    assert "table.md: not what its numbers give" in found and "table.tex: not what" in found
