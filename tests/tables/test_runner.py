"""Making a table: missing runs are started, finished ones are not, and a failure does not stop the others."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skipln.runs.reading import read_state
from skipln.runs.result import read_result
from skipln.tables import store
from skipln.tables.execution.local import Local
from skipln.tables.manifest import load
from skipln.tables.runner import output
from skipln.tables.status import status
from tests.tables import fakes
from tests.tables.conftest import Workplace


def test_divergence_is_a_result_and_failures_are_reported(
    workplace: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    """A failure is reported at the end with the run's own line, and the others still run."""
    workplace.behave(xskip="diverged", post_ln="no data", rskip_ln="crash")
    assert workplace.run() == 1
    out, err = capfd.readouterr()
    assert "[1/4] xSkip λ=2, En-De catalogs, seed 1\n" in err
    assert "[4/4] rSkip+LN λ=3, En-De catalogs, seed 1\n" in err
    assert "2 of 4 runs failed:" in err
    assert "post-LN, En-De catalogs, seed 1: data.dir=/nowhere: no such folder; give the folder of the raw files" in err
    assert "rSkip+LN λ=2, En-De catalogs, seed 1: RuntimeError: out of luck" in err
    assert re.search(r"\| xSkip λ=2 +\| +1 of 1 diverged \|", out)
    assert re.search(r"\| post-LN +\| +– \|", out)
    assert "(n=1)" in out


def test_the_second_time_nothing_is_started(workplace: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    workplace.behave(xskip="diverged")
    assert workplace.run() == 0
    first = workplace.texts()
    assert len(workplace.starts()) == 4
    assert workplace.run() == 0
    assert len(workplace.starts()) == 4
    assert workplace.texts() == first
    assert "4 of 4 runs are finished" in capfd.readouterr().err


def test_it_ends_with_a_line_that_uses_a_run(finished: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    """One that has a model: neither a diverged run nor one whose weights are elsewhere."""
    assert finished.run() == 0
    assert "use its runs" not in capfd.readouterr().err
    for name in ("xskip", "post_ln", "rskip_ln"):
        weights = finished.cell(name).folder / "checkpoints" / "tested.pt"
        weights.parent.mkdir()
        weights.touch()
    assert finished.run() == 0
    (command,) = re.findall(
        r"^use its runs \(make status names them\), such as rSkip\+LN λ=2, En-De catalogs, seed 1: (.*)$",
        capfd.readouterr().err,
        re.MULTILINE,
    )
    assert re.search(rf"skipln[-.]translate {finished.cell('rskip_ln').folder} FILE$", command)


def test_only_given_rows_run(workplace: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    """Results of other rows stay in the table."""
    workplace.behave()
    assert workplace.run("--rows=post_ln") == 0
    assert "0 of 1 runs are finished" in capfd.readouterr().err
    assert workplace.run("--rows=xskip, rskip_ln") == 0
    out, _ = capfd.readouterr()
    assert len(workplace.starts()) == 3
    assert re.search(r"\| post-LN +\| +\d+\.\d \(n=1\) \|", out)
    assert re.search(r"\| rSkip\+LN λ=3 +\| +– \|", out)


def test_a_column_without_data_does_not_stop_the_others(
    workplace: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path("experiments/table9.yaml")
    mine = "    - {name: mine, label: Mine, overrides: [data=multi30k], needs: [data.dir]}\n"
    path.write_text(path.read_text().replace("  small:\n", f"{mine}  small:\n"))
    workplace.manifest = load("table9", Path("experiments"))
    workplace.behave()
    assert workplace.run() == 0
    out, err = capfd.readouterr()
    assert "table9 · test: 0 of 8 runs are finished" in err
    assert (
        '4 of 8 runs were not started: needs data.dir for Mine: give it as make table9 SCALE=test ARGS="data.dir=…"'
        in err
    )
    assert re.search(r"\| post-LN +\| +\d+\.\d \(n=1\) \| +no data \|", out)  # side by side
    assert '- Data, Mine: no data; give it as `make table9 SCALE=test ARGS="data.dir=…"`' in out
    assert "- Made by: `make table9 SCALE=test SEEDS=1`" in out
    assert workplace.run("--dry-run") == 0
    assert re.search(r"lacking +[\d.]+ GPU-h estimated  needs data.dir for Mine", capfd.readouterr().out)


def test_runs_of_another_table_are_not_made_again(finished: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    """A record in another table of yours counts as a finished run, but a published one does not."""
    assert finished.run() == 0
    table9, made = finished.manifest, store.read_records(finished.folder)
    curves = store.read_curves(finished.folder)
    shutil.copytree("runs/tables", finished.results)
    for record in made:
        shutil.rmtree(Path("runs") / record.hash)

    text = Path("experiments/table9.yaml").read_text().replace("name: xskip,", "name: first,")
    faster = "  - {name: faster, label: Faster, overrides: [skip=rskip_ln, optim.lr=0.5]}\n"
    Path("experiments/table10.yaml").write_text(text + faster)
    finished.manifest = load("table10", Path("experiments"))
    finished.behave()
    capfd.readouterr()
    assert finished.run() == 0
    out, err = capfd.readouterr()
    assert "table10 · test: 4 of 5 runs are finished" in err
    assert re.search(r"\| xSkip λ=2 +\| +1 of 1 diverged \|", out)
    assert [start.split()[-2] for start in finished.starts()] == ["optim.lr=0.5"]
    adopted = store.read_records(finished.folder)
    assert [(record.table, record.row) for record in adopted] == [
        ("table9", "first"), ("table9", "post_ln"), ("table9", "rskip_ln"), ("table9", "rskip_ln_3"),
        ("table10", "faster"),
    ]  # fmt: skip
    assert [record.metrics for record in adopted[:4]] == [record.metrics for record in made]
    assert store.read_curves(finished.folder).items() >= curves.items()
    assert "5 runs: 4 done, 1 diverged" in status(finished.manifest, "test", [1])

    shutil.rmtree("runs")
    finished.manifest = table9
    finished.behave()
    assert finished.run() == 0
    assert "table9 · test: 0 of 4 runs are finished" in capfd.readouterr().err


def test_a_damaged_result_and_an_interrupted_run_are_made_again(
    finished: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    (finished.cell("rskip_ln").folder / "result.json").write_text('{"torn')
    (finished.cell("post_ln").folder / "result.json").unlink()
    fakes.write_status(finished.cell("post_ln").folder, "interrupted")
    finished.behave()
    assert finished.run() == 0
    assert [line.split()[-2] for line in finished.starts()] == ["skip=xskip_ln", "skip=rskip_ln"]
    assert "[3/4] post-LN, En-De catalogs, seed 1\n" in capfd.readouterr().err


def test_killed_runs_and_runs_without_a_result_are_reported(
    workplace: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    workplace.behave(post_ln="killed", rskip_ln="no result")
    assert workplace.run() == 1
    err = capfd.readouterr().err
    assert "post-LN, En-De catalogs, seed 1: killed by SIGKILL (out of memory?)" in err
    assert "rSkip+LN λ=2, En-De catalogs, seed 1: it ended without a readable result" in err


def test_a_dry_run_starts_nothing(finished: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    (finished.cell("rskip_ln").folder / "result.json").unlink()
    assert finished.run("--dry-run", "compute.threads=1") == 0
    lines = capsys.readouterr().out.splitlines()
    cell = finished.cell("rskip_ln")
    assert [line.split()[1] for line in lines] == ["diverged", "done", "missing", "done"]
    assert lines[2].startswith(cell.hash)
    assert lines[2].endswith("skip=rskip_ln compute.threads=1 seed=1")
    assert not finished.starts()
    assert not finished.results.exists()


def test_a_trial_leaves_results_alone(workplace: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    extra = "optim.lr=0.5"
    for cell in workplace.cells(extra=(extra,)):
        fakes.finish(cell.folder)
    assert workplace.run(extra) == 0
    assert not workplace.results.exists()
    page = Path("runs/tables/test/table9/optim.lr=0.5/table.md").read_text()
    assert 'make table9 SCALE=test SEEDS=1 ARGS="optim.lr=0.5"' in page
    assert "your table is not the published one; it changes optim.lr=0.5" in capfd.readouterr().err


def test_a_trials_folder_has_a_name_that_any_disk_takes(workplace: Workplace) -> None:
    """Long overrides are told apart by their end too."""
    long = [f"data.name={'λ' * 200}{end}" for end in "ab"]
    folders = {output(workplace.manifest, "test", [text]) for text in long}
    assert len(folders) == 2
    for folder in folders:
        assert folder.name.startswith("data.name=λλ")
        folder.mkdir(parents=True)


@pytest.mark.parametrize(("to_group", "sent"), [(True, signal.SIGINT), (False, signal.SIGTERM)])
def test_a_stopped_table_continues(workplace: Workplace, to_group: bool, sent: signal.Signals) -> None:
    """A terminal sends Ctrl-C to the whole process group; SIGTERM to the table alone is passed on to runs."""
    workplace.behave(xskip="slow")
    process = _start(workplace)
    _wait_for(lambda: read_state(workplace.cell("xskip").folder).state == "running")
    time.sleep(0.2)
    if to_group:
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "each run saves its state" in err
    assert "to continue: python -m skipln.tables --experiments" in err
    assert "Traceback" not in err
    assert read_state(workplace.cell("xskip").folder).state == "interrupted"
    assert len(workplace.starts()) == 1
    workplace.behave()
    assert workplace.run() == 0
    assert read_result(workplace.cell("xskip").folder) is not None


def test_as_many_runs_at_once_as_cores_allow(workplace: Workplace) -> None:
    cores = len(os.sched_getaffinity(0))
    assert Local(threads=1).at_once == cores
    assert Local(threads=cores + 1).at_once == Local(threads=0).at_once == 1
    cell = workplace.cell("xskip")
    assert Local(["train"], threads=1).command(cell) == ["train", *cell.overrides, "compute.threads=1"]
    assert Local(["train"]).command(cell) == ["train", *cell.overrides]


def test_a_killed_table_leaves_no_run_behind(workplace: Workplace) -> None:
    workplace.behave(xskip="slow")
    process = _start(workplace)
    _wait_for(lambda: read_state(workplace.cell("xskip").folder).state == "running")
    time.sleep(0.2)
    process.kill()
    process.communicate()
    _wait_for(lambda: read_state(workplace.cell("xskip").folder).state == "interrupted")


def _start(workplace: Workplace) -> subprocess.Popen[str]:
    call = f"main({workplace.arguments('run', 'table9', '--scale', 'test')!r}, {workplace.trainer()!r})"
    code = f"import sys; from skipln.tables.cli import main; sys.exit({call})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def evaluated(workplace: Workplace) -> Workplace:
    """The table with one more row at the top: post-LN's runs translated with another beam."""
    row = "rows:\n  - {name: wide, label: wide, overrides: [task.beam=9], evaluates: post_ln}\n"
    path = workplace.path / "experiments/table9.yaml"
    path.write_text(path.read_text().replace("rows:\n", row))
    return Workplace(workplace.path, load("table9", Path("experiments")), workplace.results)


def test_an_evaluation_waits_for_its_input(evaluated: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    """It is listed first but started last. Its configuration is its input's, except for its own overrides."""
    evaluated.behave()
    assert evaluated.run() == 0
    wide, post_ln = evaluated.cell("wide"), evaluated.cell("post_ln")
    assert wide.config.inputs == [post_ln.hash]
    assert wide.config.model_copy(update={"inputs": [], "task": post_ln.config.task}).hash == post_ln.hash
    assert evaluated.starts()[-1] == " ".join(wide.overrides)
    assert len(evaluated.starts()) == 5
    out = capfd.readouterr().out
    assert re.search(r"\| wide +\| +\d+\.\d \(n=1\) \|", out)
    assert "- Made by: `make table9 SCALE=test SEEDS=1`\n" in out
    assert evaluated.run() == 0
    assert len(evaluated.starts()) == 5


def test_an_evaluation_of_a_failed_run_is_not_started(evaluated: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    evaluated.behave(post_ln="crash")
    assert evaluated.run() == 1
    wide, post_ln = evaluated.cell("wide"), evaluated.cell("post_ln")
    assert " ".join(wide.overrides) not in evaluated.starts()
    assert f"wide, En-De catalogs, seed 1: its input {post_ln.folder} has no result\n" in capfd.readouterr().err


def test_every_seed_is_evaluated_separately(evaluated: Workplace) -> None:
    inputs = {(cell.row.name, cell.seed): cell for cell in evaluated.cells((1, 2))}
    for seed in (1, 2):
        assert inputs["wide", seed].config.inputs == [inputs["post_ln", seed].hash]
