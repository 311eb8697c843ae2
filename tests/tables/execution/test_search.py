"""A column with a search: candidates run first, each cell tests the best of them, and the page says so."""

import json
import re
import shutil
from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.errors import UserError
from skipln.tables import store
from skipln.tables.cells import Cell, cells
from skipln.tables.manifest import Column, load
from skipln.tables.presentation.render import render
from skipln.tables.status import status
from tests.tables import fakes
from tests.tables.conftest import MANIFEST, Workplace

SEARCH = MANIFEST.replace("label: En-De catalogs}", "label: En-De catalogs, search: {optim.lr: [1.0e-3, 0.01]}}")
ROWS = {"xskip": (None, None), "post_ln": (3.5, 3.25), "rskip_ln": (3.0, None), "rskip_ln_3": (3.5, 3.5)}


@pytest.fixture
def searching(workplace: Workplace) -> Workplace:
    Path("experiments/table9.yaml").write_text(SEARCH.replace("baseline:", "costs: per_update\nbaseline:"))
    workplace.manifest = load("table9", Path("experiments"))
    return workplace


def finish(cell: Cell, losses: tuple[float | None, float | None]) -> None:
    """Write the cell and its candidates as the engine does; a loss of None means that the run diverged."""
    compared = []
    for candidate, loss, rate in zip(cell.candidates, losses, (0.001, 0.01), strict=True):
        state = "diverged" if loss is None else "done"
        fakes.finish(candidate.folder, state=state, metrics={} if loss is None else {"valid_loss": loss})
        settings = {"optim.lr": rate}
        compared.append({"hash": candidate.hash, "state": state, "valid_loss": loss, "settings": settings})
    done = [item for item in compared if item["valid_loss"] is not None]
    best = min(done or compared, key=lambda item: item["valid_loss"] or 0)
    costs = {"seconds_per_update": 0.0421, "kept_bytes": 12_345_678}
    fakes.finish(cell.folder, state="done" if done else "diverged", chosen=best["hash"], compared=compared, **costs)
    (cell.folder / "metrics.jsonl").unlink()


def test_a_cell_is_an_evaluation_of_its_candidates(searching: Workplace) -> None:
    for cell in searching.cells():
        assert [one.setting for one in cell.candidates] == [("optim.lr=0.001",), ("optim.lr=0.01",)]
        assert [one.config.optim.lr for one in cell.candidates] == [0.001, 0.01]
        assert not any(one.config.task.test for one in cell.candidates)
        assert cell.config.task.test
        assert cell.config.inputs == [one.hash for one in cell.candidates]
        assert compose(list(cell.overrides)).hash == cell.hash
        assert cell.candidates[1].describe().endswith(", En-De catalogs, seed 1, optim.lr=0.01")


def test_candidates_run_first_and_a_failed_one_stops_its_cell(
    searching: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = searching.cell("post_ln")
    runs = [*chosen.runs]
    plan = {" ".join(run.overrides): [str(run.folder), "0.7"] for run in runs}
    failing = searching.cell("rskip_ln")
    plan |= {" ".join(run.overrides): [str(run.folder), "crash"] for run in failing.candidates[:1]}
    plan |= {" ".join(run.overrides): [str(run.folder), "0.7"] for run in failing.candidates[1:]}
    Path("plan.json").write_text(json.dumps(plan))
    assert searching.run("--rows=post_ln,rskip_ln") == 1
    starts = searching.starts()
    assert len(starts) == 5
    assert starts[-1] == " ".join(chosen.overrides)
    err = capfd.readouterr().err
    assert "table9 · test: 0 of 6 runs are finished" in err
    assert "rSkip+LN λ=2, En-De catalogs, seed 1, optim.lr=0.001: RuntimeError: out of luck" in err
    assert re.search(r"rSkip\+LN λ=2, En-De catalogs, seed 1: its input \S+ has no result", err)
    assert searching.run("--rows=post_ln") == 0
    assert len(searching.starts()) == 5
    assert "3 of 3 runs are finished" in capfd.readouterr().err


def test_the_page_shows_choices_divergences_and_costs(searching: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    for cell in searching.cells():
        finish(cell, ROWS[cell.row.name])
    assert searching.run() == 0
    assert searching.starts() == []
    out = capfd.readouterr().out
    head = next(line for line in out.splitlines() if "BLEU" in line)
    assert [cell.strip() for cell in head.split("|")[4:6]] == ["optim.lr", "diverged"]
    assert re.search(r"\| ms/update \| +MB kept \|", head)
    assert re.search(r"\| xSkip λ=2 .*\| 1 of 1 diverged .*\| +– \| +2 of 2 \|", out)
    assert re.search(r"\| post-LN .*\| +0\.01 \| +0 of 2 \| +baseline \|.*\| +42\.1 \| +12\.3 \|", out)
    assert re.search(r"\| rSkip\+LN λ=2 .*\| +0\.001 \| +1 of 2 \|", out)
    assert re.search(r"\| rSkip\+LN λ=3 .*\| +0\.001 \| +0 of 2 \|", out)  # the first of equals
    assert "Search: 2 runs with the same number of updates for each row and seed, optim.lr of 0.001, 0.01; " in out
    assert "Made by: `make table9 SCALE=test SEEDS=1`" in out
    heading, *lines = (searching.folder / "table.csv").read_text().splitlines()
    assert heading.endswith(",searched,chosen,candidates,candidates_diverged,ms_per_update,kept_bytes,peak_bytes")
    assert lines[2].endswith(",optim.lr,0.001,2,1,42.1,12345678,")


def test_a_cell_has_the_curve_and_command_of_the_chosen_run(searching: Workplace) -> None:
    cell = searching.cell("post_ln")
    finish(cell, (3.5, 3.25))
    fakes.write_metrics(cell.candidates[1].folder, shift=7.0)
    assert searching.run("--rows=post_ln") == 0
    (record,) = store.read_records(searching.folder)
    curve = store.read_curves(searching.folder)[cell.hash]
    assert curve.groups[0]["train/loss"][0] == 13.0
    assert record.trained == list(cell.candidates[1].shared)
    page = (searching.folder / "curves.html").read_text()
    assert "optim.lr=0.01 task.test=false" in page


def test_a_cells_validation_loss_is_that_of_the_chosen_run(searching: Workplace) -> None:
    manifest = Path("experiments/table9.yaml")
    manifest.write_text(manifest.read_text().replace("metrics: [bleu, chrf]", "metrics: [bleu, valid_loss]"))
    searching.manifest = load("table9", Path("experiments"))
    for cell in searching.cells():
        finish(cell, ROWS[cell.row.name])
    assert searching.run() == 0
    table = (searching.folder / "table.md").read_text()
    assert re.search(r"\| post-LN +\| [^|]+\| +3\.250 \(n=1\) \|", table)
    assert re.search(r"\| xSkip λ=2 +\| 1 of 1 diverged \| 1 of 1 diverged \|", table)


def test_a_recorded_cell_needs_no_candidates(searching: Workplace) -> None:
    for cell in searching.cells():
        finish(cell, ROWS[cell.row.name])
    assert searching.run() == 0
    before = searching.texts()
    for cell in searching.cells():
        for run in cell.runs:
            shutil.rmtree(run.folder)
    page = status(searching.manifest, "test", [1])
    assert "table9 · test · 4 runs: 3 done, 1 diverged" in page
    render(searching.manifest, "test", searching.folder)
    assert searching.texts() == before


def test_status_shows_the_candidates_of_a_missing_cell(searching: Workplace) -> None:
    cell = searching.cell("rskip_ln")
    fakes.finish(cell.candidates[0].folder, metrics={"valid_loss": 3.25})
    page = status(searching.manifest, "test", [1])
    assert "table9 · test · 12 runs: 11 missing, 1 done" in page
    assert re.search(r"rSkip\+LN λ=2, optim\.lr=0\.001 .* done +20/20 +valid loss 3\.250", page)


def test_a_searched_key_cannot_be_given(searching: Workplace) -> None:
    with pytest.raises(
        UserError, match=r"optim\.lr: table9 searches it for En-De catalogs: change the manifest's search"
    ):
        searching.cells(extra=("optim.lr=1",))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[1.0e-3, 0.01]", "[1.0e-3]", "search.optim.lr=[0.001]: list should have at least 2 items"),
        ("optim.lr: [1.0e-3", "training.updates: [1.0e-3", "string should match pattern"),
        ("0.01]", '"0.01 seed=3"]', "each value of a search is a number or a word"),
        ("overrides: [skip=xskip]}", "overrides: [], evaluates: post_ln}", "cannot have rows that evaluate others"),
    ],
)
def test_a_wrong_search_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SEARCH
    (tmp_path / "table9.yaml").write_text(SEARCH.replace(old, new))
    with pytest.raises(UserError) as caught:
        load("table9", tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_values_of_several_keys_are_all_combined(searching: Workplace) -> None:
    both = Column(name="c", label="C", search={"optim.lr": [0.1, 0.2], "schedule.warmup": [5, 10]})
    manifest = searching.manifest.model_copy(update={"columns": {"test": [both]}})
    found = [one.config for one in cells(manifest, "test", [1])[0].candidates]
    assert [(one.optim.lr, one.schedule.warmup) for one in found] == [(0.1, 5), (0.1, 10), (0.2, 5), (0.2, 10)]
