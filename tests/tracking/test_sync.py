"""A sync sends the content of a run folder, only once."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from skipln.errors import UserError
from skipln.system.files import locked
from tests.tables import fakes
from tests.tables.conftest import Workplace, composed, workplace
from tests.tracking.conftest import Folder
from tests.tracking.server import Server

pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
from skipln.configuration.schema import WandbTracker
from skipln.tracking import upload
from skipln.tracking.sync import Run, _named, found, sync

__all__ = ["composed", "workplace"]  # fixtures

ROOT = Path(__file__).resolve().parents[2]
TRACKER = WandbTracker(
    name="wandb", project="skips", entity=None, mode="auto", group=None, job_type="train", tags=["test/catalogs"]
)


def send(folder: Folder, configuration: dict) -> int:
    return sync([Run(folder.path, configuration, "table2/rskip_ln_2", ("test/catalogs",))], TRACKER)[0]


def test_a_finished_run_arrives_whole_and_once(server: Server, folder: Folder, configuration: dict) -> None:
    folder.log(5, 10, 15)
    folder.finish()
    assert send(folder, configuration) == 1
    run = server.runs[folder.path.name]
    assert run.points == folder.points()
    assert [line["_step"] for line in run.history] == list(range(6))
    assert (run.label, run.group, run.job_type, run.tags) == (
        "table2/rskip_ln_2 seed 3", "table2/rskip_ln_2", "train", ["test/catalogs"]
    )  # fmt: skip
    assert run.project == "skips"
    assert run.exit_code == 0
    assert run.summary["state"] == "done"
    assert run.summary["test/bleu"] == json.loads((folder.path / "result.json").read_text())["metrics"]["bleu"]
    said = run.values
    assert (said["table"], said["row"], said["seed"], said["hash"]) == ("table2", "rskip_ln_2", 3, folder.path.name)
    assert said["skip"] == configuration["skip"]
    assert said["units"]["tokens"] == "target tokens trained on"
    assert said["environment"]["cpu"] == fakes.ENVIRONMENT["cpu"]
    assert not {"paths", "launcher", "tracker"} & said.keys()

    server.operations.clear()
    assert send(folder, configuration) == 0
    assert server.operations == []


def test_a_foreign_folder_without_a_connection_or_seed_arrives(server: Server, folder: Folder) -> None:
    """Its config.yaml has any content, and no table's cell gives it a group."""
    folder.log(5)
    folder.finish()
    for odd in ({"a": 1}, {"skip": "x"}, {"skip": {}}, {"tracker": {"group": "", "tags": ["", "x" * 65, "good"]}}):
        (folder.path / "wandb.json").unlink(missing_ok=True)
        assert sync([Run(folder.path, odd, *_named(odd))], TRACKER)[0] == 1
    assert server.runs[folder.path.name].tags == ["good"]


def test_after_crashes_no_point_is_repeated_or_shifted(server: Server, folder: Folder, configuration: dict) -> None:
    folder.log(5, 10)
    folder.save()
    folder.log(15)  # a kill takes it back
    assert send(folder, configuration) == 1
    assert server.runs[folder.path.name].points == folder.points()[:4]
    assert server.runs[folder.path.name].exit_code == 1
    folder.crash()
    folder.log(15, 20)
    folder.save()
    run = server.runs[folder.path.name]
    del run.history[3:]  # as if points on their way to the server had been lost
    run.summary["_step"] = 2
    assert send(folder, configuration) == 1
    folder.log(25)
    folder.finish()
    assert send(folder, configuration) == 1
    assert list(server.runs) == [folder.path.name]
    assert server.runs[folder.path.name].points == folder.points()
    assert len({(point["update"], "lr" in point) for point in folder.points()}) == 10


def test_a_torn_last_line_is_left_out(
    server: Server, folder: Folder, configuration: dict, caplog: pytest.LogCaptureFixture
) -> None:
    folder.log(5)
    folder.finish()
    whole = folder.points()
    with folder.metrics.open("a") as file:
        file.write('{"update": 10, "tra')
    with caplog.at_level(logging.WARNING):
        assert send(folder, configuration) == 1
    assert server.runs[folder.path.name].points == whole
    assert {message.partition("metrics.jsonl")[2] for message in caplog.messages} == {", line 3: torn, left out"}


def test_a_run_in_training_is_left_alone(server: Server, folder: Folder, configuration: dict) -> None:
    folder.log(5)
    folder.save()
    fakes.write_status(folder.path, "running")
    with locked(folder.path / ".lock"):  # as its process would
        assert send(folder, configuration) == 0
    assert server.operations == []


def test_a_hanging_server_is_one_line(
    server: Server, folder: Folder, configuration: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.log(5)
    folder.finish()
    monkeypatch.setattr(upload, "PATIENCE", 1)
    with server.hanging(), pytest.raises(UserError, match=r"^W&B: http://127\.0\.0\.1:\d+ does not answer$"):
        send(folder, configuration)
    monkeypatch.undo()
    assert not (folder.path / "wandb.json").exists()


def test_a_missing_key_is_one_line_with_a_remedy(folder: Folder, tmp_path: Path, server: Server) -> None:
    folder.log(5)
    folder.finish()
    found = subprocess.run(
        [sys.executable, "-m", "scripts.tracking.sync", "--runs", str(folder.path.parent)],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stderr == "error: no W&B key: `wandb login`, or WANDB_API_KEY=…\n"


def test_table_and_row_of_run_folders_are_found(workplace: Workplace) -> None:
    cell = workplace.cell("rskip_ln")
    fakes.finish(cell.folder)
    (cell.folder / "config.yaml").write_text("seed: 1\nscale: {name: test}\n")
    alone = Path("runs/000000000000")
    fakes.finish(alone)
    experiments = Path("experiments")
    runs = {run.folder: (run.group, run.tags) for run in found(Path("runs"), None, experiments)}
    assert runs == {cell.folder: ("table9/rskip_ln", ("test/catalogs",)), alone: (None, ())}
    assert [run.folder for run in found(Path("runs"), "table9", experiments)] == [cell.folder]
    with pytest.raises(UserError, match="no table table8: choose one of table9"):
        list(found(Path("runs"), "table8", experiments))


@pytest.mark.parametrize(
    "text",
    [
        *("seed: a\nscale: {name: test}", "seed: -1\nscale: {name: test}", "seed: [1]\nscale: {name: test}"),
        *("seed: 2\nscale: [test]", "seed: 2\nscale: {name: {}}", "tracker: x", "tracker: {group: 3, tags: 3}", "[1]"),
    ],
)
def test_an_odd_configuration_does_not_hide_the_other_runs(workplace: Workplace, text: str) -> None:
    cell, odd = workplace.cell("rskip_ln"), Path("runs/000000000000")
    for folder, content in ((cell.folder, "seed: 1\nscale: {name: test}\n"), (odd, text)):
        fakes.finish(folder)
        (folder / "config.yaml").write_text(content)
    runs = {run.folder: (run.group, run.tags) for run in found(Path("runs"), None, Path("experiments"))}
    assert runs.pop(odd, (None, ())) == (None, ())
    assert runs == {cell.folder: ("table9/rskip_ln", ("test/catalogs",))}
