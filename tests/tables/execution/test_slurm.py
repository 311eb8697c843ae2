"""The queue's state of a run, and commands without a cluster; tests/slurm uses a real one."""

import subprocess
import sys
from pathlib import Path

import pytest

from skipln.runs.queue import Queue, Ticket
from skipln.runs.reading import last_line, read_state
from skipln.tables.cli import main
from tests.tables import fakes
from tests.tables.conftest import Workplace


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stand in for SLURM's squeue: print `lines` and exit with `code`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def say(*lines: str, code: int = 0) -> Queue:
        text = "\n".join(lines)
        (folder / "squeue").write_text(f"#!/bin/sh\nstream={2 if code else 1}\necho '{text}' >&$stream\nexit {code}\n")
        (folder / "squeue").chmod(0o755)
        return Queue()

    return say


def test_the_queue_overrides_a_stopped_runs_status(tmp_path: Path, squeue) -> None:
    """With a waiting job, a run is queued for SLURM's reason, whatever its status said when it was stopped."""
    for i, state in enumerate(("running", "interrupted", "failed")):
        fakes.write_status(tmp_path / state, state, host="elsewhere", job="7")
        Ticket("table9-ab", i).write(tmp_path / state)
    Ticket("table9-ab", 3).write(tmp_path / "fresh")
    names = ("running", "interrupted", "failed", "fresh")

    waiting = squeue(*(f"table9-ab|{i}|{7 + i}|5_{i}|PD|Priority" for i in range(4)))
    for i, name in enumerate(names):
        found = read_state(tmp_path / name, waiting)
        assert (found.state, found.message) == ("queued", f"Priority, job 5_{i}")
    assert read_state(tmp_path / "running", waiting).update == 10

    started = squeue(*(f"table9-ab|{i}|{7 + i}|5_{i}|R|None" for i in range(4)))
    assert {read_state(tmp_path / name, started).state for name in names} == {"running"}

    over = squeue("another-ab|N/A|9|9|R|None")
    found = [read_state(tmp_path / name, over) for name in names]
    assert [run.state for run in found] == ["interrupted", "interrupted", "failed", "failed"]
    assert found[3].message == "its job ended before the run began"


def test_a_failing_squeue_changes_nothing(tmp_path: Path, squeue) -> None:
    fakes.write_status(tmp_path / "run", "running", host="elsewhere", job="7")
    Ticket("table9-ab", 0).write(tmp_path / "run")
    Ticket("table9-ab", 1).write(tmp_path / "fresh")
    silent = squeue("slurm_load_jobs error: Unable to contact slurm controller", code=1)
    assert read_state(tmp_path / "run", silent).state == "running"
    assert read_state(tmp_path / "fresh", silent).state == "queued"
    assert silent.problem.startswith("slurm_load_jobs error: Unable to contact slurm controller; try again")


def test_a_run_that_no_table_submitted_is_found_by_its_job(tmp_path: Path, squeue) -> None:
    """Its status has the number of its job, which tells whether it is over."""
    fakes.write_status(tmp_path, "running", host="elsewhere", job="7")
    assert read_state(tmp_path, squeue("mine|N/A|7|7|R|None")).state == "running"
    assert read_state(tmp_path, squeue("mine|N/A|8|8|R|None")).state == "interrupted"


def test_the_last_line_is_that_of_the_newer_log(tmp_path: Path) -> None:
    assert last_line(tmp_path) == ""
    (tmp_path / "log.txt").write_text("10%\r20%\n\n")
    assert last_line(tmp_path) == "20%"
    (tmp_path / "job.out").write_text("error: no such folder\nsrun: error: task 0: Exited\n")
    Ticket("table9-ab", 0, "5_0", str(tmp_path / "job.out")).write(tmp_path)
    assert last_line(tmp_path) == "error: no such folder"


def test_no_sbatch_is_one_line(workplace: Workplace, squeue, capsys: pytest.CaptureFixture[str]) -> None:
    squeue()
    assert workplace.run("--launcher=slurm") == 2
    _, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: sbatch is not on PATH: start this on a machine that submits to SLURM")


def test_no_submitit_is_one_line(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher", None)
    assert workplace.run("--launcher=slurm") == 2
    _, line = capsys.readouterr().err.splitlines()
    assert line == "error: launcher=slurm needs a package: pip install hydra-submitit-launcher"


def test_a_multirun_without_sbatch_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "skipln.train", "--multirun", "launcher=slurm", "seed=1,2"]
    found = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr.startswith("error: sbatch is not on PATH")
    assert found.stderr.count("\n") == 1


def test_an_unknown_launcher_lists_the_choices(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(workplace.arguments("run", "table9", "--scale=test", "--launcher=pbs")) == 2
    assert capsys.readouterr().err == "error: launcher=pbs: choose one of local, slurm\n"


def test_the_command_has_the_threads_of_the_job(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--launcher=slurm", "--dry-run", "launcher.cpus_per_task=3", "launcher.partition=gpu")
    before = [cell.hash for cell in workplace.cells()]
    assert workplace.run(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == before
    assert all(line.endswith("launcher.partition=gpu seed=1 compute.threads=3") for line in lines)
