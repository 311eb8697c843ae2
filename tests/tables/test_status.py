"""`make status` shows every cell, without torch."""

import shutil
import subprocess
import sys

from skipln.system.files import locked
from skipln.tables.records import collect
from skipln.tables.status import status
from tests.tables import fakes
from tests.tables.conftest import ROOT, Workplace


def _status(workplace: Workplace, *seeds: int) -> list[str]:
    return status(workplace.manifest, "test", seeds or [1]).splitlines()


def test_every_state_is_shown(finished: Workplace) -> None:
    rskip = finished.cell("rskip_ln").folder
    shutil.rmtree(rskip)
    fakes.write_status(rskip, "running", 3, 20)
    (rskip / "log.txt").write_text(" 5%\r15% loss 3.1 validating")
    shutil.rmtree(finished.cell("rskip_ln_3").folder)
    with locked(rskip / ".lock"):
        title, _, *lines = _status(finished)
    assert title == "table9 · test · 4 runs: 1 diverged, 1 done, 1 running, 1 missing"
    assert [line.split()[-1] for line in (lines[2], lines[3])] == ["validating", finished.cell("rskip_ln_3").hash]
    assert "diverged  7/20    –" in lines[0]
    assert "loss nan at update 7" in lines[0]
    assert "done      20/20   BLEU" in lines[1]
    assert "running   3/20" in lines[2]
    assert "missing   –" in lines[3]


def test_a_record_without_run_folder_is_shown_as_done(finished: Workplace) -> None:
    collect(finished.manifest, finished.cells(), finished.folder)
    shutil.rmtree(finished.cell("post_ln").folder)
    line = _status(finished)[3]
    assert "done" in line
    assert "from runs/tables/, no run folder" in line


def test_a_table_that_cannot_be_shown_says_why(workplace: Workplace) -> None:
    assert status(workplace.manifest, "paper", [1]) == "table9 · paper · no columns at this scale"
    assert "needs data.dir" in status(workplace.manifest, "small", [1])


def test_a_thousand_runs_are_shown_without_torch(workplace: Workplace) -> None:
    """This needs its own process. `python -m scripts.bench.studies.cluster` measures the time."""
    found = workplace.cells(tuple(range(1, 251)))
    for cell in found:
        cell.folder.mkdir(parents=True)
        (cell.folder / "result.json").write_text(RESULT.replace("HASH", cell.hash))
    code = "import sys; from skipln.tables.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", code, *workplace.arguments("status", "--scale", "test", "--seeds", "250")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert "1000 runs: 1000 done" in done.stdout


RESULT = (
    '{"hash": "HASH", "state": "done", "update": 20, "metrics": {"bleu": 17.4, "chrf": 40.1}, "data": {"name":'
    ' "catalogs", "fingerprint": "0", "test_examples": 10}, "environment": {"commit": "0123"}, "parameters": 5}'
)
