"""Records of a table: in order, merged with earlier ones, and tested by the statistics of examples."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from skipln.errors import UserError
from skipln.runs.identity import identity
from skipln.runs.reading import read_config
from skipln.runs.sums import with_sums
from skipln.system.files import atomic_write
from skipln.tables import store
from skipln.tables.presentation.render import render
from skipln.tables.records import collect, recorded_seeds
from skipln.tables.statistics.significance import Difference
from skipln.tables.statistics.summary import summarise
from tests.tables import fakes
from tests.tables.conftest import Workplace


def test_there_is_one_line_per_run_in_the_tables_order(finished: Workplace) -> None:
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


def test_interpolations_in_a_folders_configuration_are_not_resolved(
    finished: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run folder may come from anybody, so a record has the configuration of its cell instead."""
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


def test_two_curves_of_one_run_are_refused(finished: Workplace) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    path = finished.folder / "curves.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
    with pytest.raises(UserError, match=r"curves\.jsonl: two curves of run .*restore it with git"):
        collect(finished.manifest, finished.cells(), finished.folder)


@pytest.mark.parametrize("damage", ["a line twice", "a cell twice", "no number", "nothing"])
def test_records_that_contradict_themselves_are_refused(finished: Workplace, damage: str) -> None:
    """A run that is counted twice would look like a second seed with a deviation of 0."""
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


def compared(workplace: Workplace) -> dict[str, Difference]:
    """Return the tests over sentences that the folder's files give, by row."""
    kept = store.read(workplace.folder)
    (block,) = summarise(workplace.manifest, "test", kept.records, kept.examples).blocks
    return {entry.row.name: entry.comparison for entry in block.entries if entry.comparison}


def test_a_comparison_uses_the_new_measurements(finished: Workplace) -> None:
    """In a clone that has only records, a run is made again: its p-value is that of its new score."""
    collect(finished.manifest, finished.cells(), finished.folder)
    old = compared(finished)
    assert set(old) == {"rskip_ln", "rskip_ln_3"}
    for cell in finished.cells():
        shutil.rmtree(cell.folder)
    fakes.finish(finished.cell("rskip_ln").folder, 0.79)
    collect(finished.manifest, finished.cells(), finished.folder)
    new = compared(finished)
    assert new["rskip_ln_3"] == old["rskip_ln_3"]
    assert new["rskip_ln"].difference != old["rskip_ln"].difference


def test_a_kill_between_two_files_leaves_no_comparison_of_other_records(
    finished: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    cell = finished.cell("rskip_ln")
    fakes.finish(cell.folder, 0.75)

    @contextmanager
    def killed(path: Path, *mode: str) -> Iterator[IO]:
        with atomic_write(path, *mode) as file:
            yield file
        if path.name == f"{cell.hash}.xz":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store, "atomic_write", killed)
        collect(finished.manifest, finished.cells(), finished.folder)
    assert set(compared(finished)) == {"rskip_ln_3"}
    collect(finished.manifest, finished.cells(), finished.folder)
    assert set(compared(finished)) == {"rskip_ln", "rskip_ln_3"}


def test_statistics_of_a_removed_run_are_removed(finished: Workplace) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    assert len(store.read_examples(finished.folder)) == 3 and store.examples_bytes(finished.folder) > 0
    collect(finished.manifest, [cell for cell in finished.cells() if cell.row.name != "rskip_ln"], finished.folder)
    assert finished.cell("rskip_ln").hash not in store.read_examples(finished.folder)


def test_statistics_are_read_as_written(tmp_path: Path) -> None:
    """The numbers are small, large, negative and fractional."""
    for top in (1, 300, 70_000, 2**40, -5, 0.5):
        kept = np.array([[0, top], [1, 2]], dtype=np.float64)
        record = store.Record.model_construct(hash="a" * 12)
        store.write(tmp_path, store.Kept([record], {}, {record.hash: kept}))
        assert np.array_equal(store.read_examples(tmp_path)[record.hash], kept), top


@pytest.mark.parametrize("name", ["metrics.jsonl", "examples.npy"])
def test_a_measurement_changed_after_the_run_is_left_out(
    finished: Workplace, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Earlier records keep it; a table made from scratch has no curve, or no test, of that run."""
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
    assert f"{name}: changed since the run ended; left out" in caplog.text
    shutil.rmtree(finished.folder)
    assert collect(finished.manifest, finished.cells(), finished.folder) == records
    assert (folder.name in store.read_curves(finished.folder)) == (name != "metrics.jsonl")
    assert ("rskip_ln" in compared(finished)) == (name != "examples.npy")


def test_collecting_again_gives_the_same_bytes(finished: Workplace) -> None:
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


def test_a_stale_record_is_removed_with_a_line(finished: Workplace, caplog: pytest.LogCaptureFixture) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    rows = [
        row.model_copy(update={"overrides": ["skip=rskip_ln", "skip.lam=4"]}) if row.name == "rskip_ln" else row
        for row in finished.manifest.rows
    ]
    finished.manifest = finished.manifest.model_copy(update={"rows": rows})
    records = collect(finished.manifest, finished.cells(), finished.folder)
    assert [record.row for record in records] == ["xskip", "post_ln", "rskip_ln_3"]
    assert "table9, rskip_ln, catalogs, seed 1: run" in caplog.text
    assert set(compared(finished)) == {"rskip_ln_3"}


def test_a_better_row_has_a_small_p_and_an_equal_one_p_1(finished: Workplace) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    better, equal = (compared(finished)[row] for row in ("rskip_ln", "rskip_ln_3"))
    assert better.p < 0.005 < equal.p == 1
    assert equal.difference == 0


def test_statistics_that_contradict_the_result_are_not_used(
    finished: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(finished.cell("post_ln").folder / "examples.npy", finished.cell("rskip_ln").folder / "examples.npy")
    collect(finished.manifest, finished.cells(), finished.folder)
    assert set(compared(finished)) == {"rskip_ln_3"}
    assert "the statistics of its sentences give BLEU" in caplog.text


def test_test_sets_of_different_size_are_not_compared(finished: Workplace, caplog: pytest.LogCaptureFixture) -> None:
    fakes.finish(finished.cell("rskip_ln").folder, 0.8, count=150)
    collect(finished.manifest, finished.cells(), finished.folder)
    assert set(compared(finished)) == {"rskip_ln_3"}
    assert "cannot be paired" in caplog.text


def test_torn_metrics_are_collected_without_the_torn_line(finished: Workplace) -> None:
    folder = finished.cell("post_ln").folder
    fakes.write_metrics(folder, points=3, torn=True)
    collect(finished.manifest, finished.cells(), finished.folder)
    groups = store.read_curves(finished.folder)[folder.name].groups
    assert [group["update"] for group in groups] == [[5, 10, 15], [5, 10, 15]]


def test_damaged_records_are_one_line_with_a_remedy(finished: Workplace) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    with (finished.folder / "records.jsonl").open("a") as file:
        file.write('{"table": "tab\n')
    with pytest.raises(UserError, match=r"records\.jsonl, line 5: damaged \(not JSON\); restore it with git"):
        collect(finished.manifest, finished.cells(), finished.folder)
