"""Making a table: what is missing runs, what is finished does not, and nothing that goes wrong hides the rest."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skipln.tables.launching import Watch, duration
from skipln.tables.runfolder import read_result, read_state
from tests.tables import fakes
from tests.tables.conftest import ROOT, Workplace


def test_every_kind_of_cell(workplace: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    """Diverged is a result; a failure is told at the end with the child's own line; the others still run."""
    workplace.behave(xskip="diverged", post_ln="no data", rskip_ln="crash")
    assert workplace.run() == 1
    out, err = capfd.readouterr()
    assert "[1/4] xSkip λ=2, seed 1\n" in err
    assert "[4/4] rSkip+LN λ=3, seed 1\n" in err
    assert "2 of 4 runs failed:" in err
    assert "post-LN, seed 1: data.dir=/nowhere: no such folder; give the folder of the raw files" in err
    assert "rSkip+LN λ=2, seed 1: RuntimeError: out of luck" in err
    assert re.search(r"\| xSkip λ=2 +\| +diverged \|", out)
    assert re.search(r"\| post-LN +\| +– \|", out)
    assert "(n=1)" in out


def test_second_time_starts_nothing(workplace: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    workplace.behave(xskip="diverged")
    assert workplace.run() == 0
    first = workplace.texts()
    assert len(workplace.starts()) == 4
    assert workplace.run() == 0
    assert len(workplace.starts()) == 4
    assert workplace.texts() == first
    assert "4 of 4 runs are finished" in capfd.readouterr().err


def test_damaged_result_and_interrupted_run_are_made_again(
    finished: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    (finished.cell("rskip_ln").folder / "result.json").write_text('{"torn')
    (finished.cell("post_ln").folder / "result.json").unlink()
    fakes.write_status(finished.cell("post_ln").folder, "interrupted")
    finished.behave()
    assert finished.run() == 0
    assert [line.split()[-2] for line in finished.starts()] == ["skip=xskip_ln", "skip=rskip_ln"]
    assert "[3/4] post-LN, seed 1 · about 4 min left" in capfd.readouterr().err


def test_killed_and_empty_handed(workplace: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    workplace.behave(post_ln="killed", rskip_ln="no result")
    assert workplace.run() == 1
    err = capfd.readouterr().err
    assert "post-LN, seed 1: killed by SIGKILL (out of memory?)" in err
    assert "rSkip+LN λ=2, seed 1: it ended without a result" in err


def test_dry_run_starts_nothing(finished: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    (finished.cell("rskip_ln").folder / "result.json").unlink()
    assert finished.run("--dry-run", "compute.threads=1") == 0
    lines = capsys.readouterr().out.splitlines()
    cell = finished.cell("rskip_ln")
    assert [line.split()[1] for line in lines] == ["diverged", "done", "missing", "done"]
    assert lines[2].startswith(cell.hash)
    assert lines[2].endswith("skip=rskip_ln compute.threads=1 seed=1")
    assert not finished.starts()
    assert not finished.results.exists()


def test_trial_leaves_results_alone(workplace: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
    extra = "optim.lr=0.5"
    for cell in workplace.cells(extra=(extra,)):
        fakes.finish(cell.folder)
    assert workplace.run(extra) == 0
    assert not workplace.results.exists()
    page = Path("runs/tables/test/table9/optim.lr=0.5/table.md").read_text()
    assert 'make table9 SCALE=test SEEDS=1 ARGS="optim.lr=0.5"' in page
    assert "results/ is left as it is, since optim.lr=0.5" in capfd.readouterr().err


@pytest.mark.parametrize(("to_group", "sent"), [(True, signal.SIGINT), (False, signal.SIGTERM)])
def test_stop_and_continue(workplace: Workplace, to_group: bool, sent: signal.Signals) -> None:
    """Ctrl-C goes to the process group as a terminal sends it; SIGTERM to the table alone is passed on."""
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
    assert "the run saves its state" in err
    assert "to continue: python -m skipln.tables --experiments" in err
    assert "Traceback" not in err
    if to_group:
        assert "saved" in err
        assert read_state(workplace.cell("xskip").folder).state == "interrupted"
    assert len(workplace.starts()) == 1
    workplace.behave()
    assert workplace.run() == 0
    assert read_result(workplace.cell("xskip").folder) is not None


def test_progress_bar_gets_a_terminal(tmp_path: Path) -> None:
    """On a terminal the child's stderr is one too, of the same size; what it writes is kept for the report."""
    script = "import os, sys; print(sys.stderr.isatty(), os.get_terminal_size(2).columns, file=sys.stderr)"
    code = f"from skipln.tables.local import _run; print(_run([{sys.executable!r}, '-c', {script!r}]))"
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "cols", "77"], stdin=theirs, check=True)
    done = subprocess.run([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    os.close(theirs)
    assert done.stdout.strip() == "(0, 'True 77')"
    assert b"True 77" in os.read(ours, 1000)
    os.close(ours)


def test_estimate_uses_the_column_then_the_table(workplace: Workplace) -> None:
    watch, cells = Watch(4, 1), workplace.cells()
    assert watch.left(cells) is None
    watch.seconds = {"another": [100.0]}
    assert watch.left(cells) == 400
    watch.seconds["catalogs"] = [10.0, 30.0]
    assert watch.left(cells) == 80


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "10 s"), (42, "40 s"), (540, "9 min"), (3600, "1 h"), (12_000, "3 h 20 min"), (190_000, "2 d 4 h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


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
