"""What is committed: in order, merged with what is there, tested while the statistics are at hand."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from skipln.errors import UserError
from skipln.runs.identity import identity
from skipln.runs.reading import read_config
from skipln.runs.sums import with_sums
from skipln.system.files import atomic_write
from skipln.tables import store
from skipln.tables.presentation.render import render
from skipln.tables.records import collect, recorded_seeds
from skipln.tables.statistics.summary import summarise
from tests.tables import fakes
from tests.tables.conftest import Workplace


def test_one_line_a_run_in_the_tables_order(finished: Workplace) -> None:
    cells = finished.cells((1, 2))
    fakes.finish(cells[5].folder, 0.61, seed=2)
    collect(finished.manifest, list(reversed(cells)), finished.folder)
    lines = [json.loads(line) for line in (finished.folder / "records.jsonl").read_text().splitlines()]
    assert [(line["row"], line["seed"]) for line in lines] == [
        ("xskip", 1), ("post_ln", 1), ("post_ln", 2), ("rskip_ln", 1), ("rskip_ln_3", 1)
    ]  # fmt: skip
    assert list(lines[0])[:5] == ["table", "row", "column", "seed", "hash"]
    assert lines[1]["overrides"] == ["scale=test", "skip=xskip_ln", "seed=1"]
    assert identity(lines[1]["config"]) == lines[1]["hash"]
    assert "paths" not in lines[1]["config"] and "dir" not in lines[1]["config"]["data"]
    assert recorded_seeds(finished.folder) == {1, 2}


def test_nothing_of_a_folders_configuration_is_resolved_or_shown(
    finished: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run folder may come from anybody; what is recorded of a run is the configuration that its cell has."""
    monkeypatch.setenv("WANDB_API_KEY", "a-secret-of-mine")
    for cell in finished.cells():
        (cell.folder / "config.yaml").write_text(
            "seed: ${oc.env:WANDB_API_KEY}\nnote: ${oc.env:WANDB_API_KEY}\nskip:\n  name: ${oc.env:WANDB_API_KEY}\n"
        )
        assert read_config(cell.folder)["note"] == "${oc.env:WANDB_API_KEY}"
    collect(finished.manifest, finished.cells(), finished.folder)
    render(finished.manifest, "test", finished.folder)
    for name, content in finished.texts().items():
        assert b"a-secret-of-mine" not in content, name
        assert b"oc.env" not in content, name


@pytest.mark.parametrize("damage", ["a line twice", "a cell twice", "no number", "nothing"])
def test_records_that_contradict_themselves_are_refused(finished: Workplace, damage: str) -> None:
    """A run counted twice would be a second seed with a deviation of 0."""
    collect(finished.manifest, finished.cells(), finished.folder)
    path = finished.folder / "records.jsonl"
    text = path.read_text()
    *_, last = text.splitlines()
    number = json.dumps(json.loads(last)["metrics"]["bleu"])
    changed = {
        "a line twice": text + last + "\n",
        "a cell twice": text + last.replace('"hash":"', '"hash":"f') + "\n",
        "no number": text.replace(f'"bleu":{number}', '"bleu":NaN'),
        "nothing": text.replace(f'"bleu":{number}', '"bleu":null'),
    }[damage]
    assert changed != text
    path.write_text(changed)
    with pytest.raises(UserError, match=r"records\.jsonl.*restore it with git"):
        collect(finished.manifest, finished.cells(), finished.folder)


def test_a_comparison_is_of_what_was_measured(finished: Workplace) -> None:
    """A run made again in a clone that has the records alone: its old p-value is not that of its new score."""
    collect(finished.manifest, finished.cells(), finished.folder)
    old = {item.row: item for item in store.read_comparisons(finished.folder)}
    assert set(old) == {"rskip_ln", "rskip_ln_3"}
    for cell in finished.cells():
        shutil.rmtree(cell.folder)
    fakes.finish(finished.cell("rskip_ln").folder, 0.79)
    records = collect(finished.manifest, finished.cells(), finished.folder)
    new = store.read_comparisons(finished.folder)
    assert new == [old["rskip_ln_3"]]
    # Files of two moments, as a copy or a merge may leave them.
    summary = summarise(finished.manifest, "test", records, list(old.values()))
    compared = {entry.row.name for entry in summary.blocks[0].entries if entry.comparison is not None}
    assert compared == {"rskip_ln_3"}


def test_a_kill_between_the_files_leaves_no_comparison_of_other_records(
    finished: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    fakes.finish(finished.cell("rskip_ln").folder, 0.79)

    @contextmanager
    def killed(path: Path, *mode: str) -> Iterator[IO]:
        with atomic_write(path, *mode) as file:
            yield file
        if path.name == "records.jsonl":
            raise KeyboardInterrupt

    monkeypatch.setattr(store, "atomic_write", killed)
    with pytest.raises(KeyboardInterrupt):
        collect(finished.manifest, finished.cells(), finished.folder)
    assert [item.row for item in store.read_comparisons(finished.folder)] == ["rskip_ln_3"]


@pytest.mark.parametrize("name", ["metrics.jsonl", "examples.npy"])
def test_a_measurement_that_changed_after_the_run_is_left_out(
    finished: Workplace, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was published of it stays; a table made anew has no curve, or no test, of it."""
    folder = finished.cell("rskip_ln").folder
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(
        json.dumps(with_sums(result, [folder / "metrics.jsonl", folder / "examples.npy"]))
    )
    records = collect(finished.manifest, finished.cells(), finished.folder)
    assert not {"files", "sum"} & json.loads((finished.folder / "records.jsonl").read_text().splitlines()[2]).keys()
    first = finished.texts()
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(content)
    assert collect(finished.manifest, finished.cells(), finished.folder) == records
    assert finished.texts() == first
    assert f"{name}: not what it was when the run ended; left out" in caplog.text
    shutil.rmtree(finished.folder)
    assert collect(finished.manifest, finished.cells(), finished.folder) == records
    drawn, compared = store.read_curves(finished.folder), store.read_comparisons(finished.folder)
    assert (folder.name in drawn) == (name != "metrics.jsonl")
    assert ("rskip_ln" in {item.row for item in compared}) == (name != "examples.npy")


def test_again_is_the_same_bytes(finished: Workplace) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    first = finished.texts()
    collect(finished.manifest, finished.cells(), finished.folder)
    assert finished.texts() == first


def test_records_outlive_their_run_folders(finished: Workplace) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    first = finished.texts()
    for cell in finished.cells():
        shutil.rmtree(cell.folder)
    collect(finished.manifest, finished.cells(), finished.folder)
    assert finished.texts() == first


def test_stale_record_leaves_with_a_line(finished: Workplace, caplog: pytest.LogCaptureFixture) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    rows = [
        row.model_copy(update={"overrides": ["skip=rskip_ln", "skip.lam=4"]}) if row.name == "rskip_ln" else row
        for row in finished.manifest.rows
    ]
    finished.manifest = finished.manifest.model_copy(update={"rows": rows})
    records = collect(finished.manifest, finished.cells(), finished.folder)
    assert [record.row for record in records] == ["xskip", "post_ln", "rskip_ln_3"]
    assert "table9, rskip_ln, catalogs, seed 1: run" in caplog.text
    assert [item.row for item in store.read_comparisons(finished.folder)] == ["rskip_ln_3"]


def test_comparisons_of_known_cases(finished: Workplace) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    better, equal = store.read_comparisons(finished.folder)
    assert (better.row, better.baseline, better.seeds) == ("rskip_ln", "post_ln", [1])
    assert better.p < 0.005 < equal.p == 1
    assert equal.difference == 0


def test_statistics_that_are_not_the_results_are_not_used(
    finished: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(finished.cell("post_ln").folder / "examples.npy", finished.cell("rskip_ln").folder / "examples.npy")
    collect(finished.manifest, finished.cells(), finished.folder)
    assert [item.row for item in store.read_comparisons(finished.folder)] == ["rskip_ln_3"]
    assert "examples.npy gives BLEU" in caplog.text


def test_test_sets_of_different_size_are_not_compared(finished: Workplace, caplog: pytest.LogCaptureFixture) -> None:
    fakes.finish(finished.cell("rskip_ln").folder, 0.8, count=150)
    collect(finished.manifest, finished.cells(), finished.folder)
    assert [item.row for item in store.read_comparisons(finished.folder)] == ["rskip_ln_3"]
    assert "cannot be paired" in caplog.text


def test_torn_metrics_are_collected(finished: Workplace) -> None:
    folder = finished.cell("post_ln").folder
    fakes.write_metrics(folder, points=3, torn=True)
    collect(finished.manifest, finished.cells(), finished.folder)
    groups = store.read_curves(finished.folder)[folder.name].groups
    assert [group["update"] for group in groups] == [[5, 10, 15], [5, 10, 15]]


def test_damaged_records_are_the_users_to_mend(finished: Workplace) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    with (finished.folder / "records.jsonl").open("a") as file:
        file.write('{"table": "tab\n')
    with pytest.raises(UserError, match=r"records\.jsonl, line 5: damaged \(not JSON\); restore it with git"):
        collect(finished.manifest, finished.cells(), finished.folder)
