"""A newcomer's first steps in a clone of the repository: a table, its page, a translation, an export."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skipln.system.places import ROOT

pytestmark = pytest.mark.slow  # a table's seven runs: a minute


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clone what is committed, and copy the prepared demo text, which a newcomer would fetch."""
    if not (ROOT / "data" / "catalogs").is_dir():
        pytest.skip("the demo text is not prepared: make data")
    folder = tmp_path_factory.mktemp("newcomer") / "skipln"
    done = subprocess.run(["git", "clone", "--quiet", "--no-local", str(ROOT), str(folder)], check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    shutil.copytree(ROOT / "data" / "catalogs", folder / "data" / "catalogs")
    return folder


def said(clone: Path, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Python command in the clone with this environment, as `make` would after its set-up."""
    environment = {**os.environ, "PYTHONPATH": str(clone), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=clone, env=environment, input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def recipe(clone: Path, target: str) -> list[str]:
    """Return the command that `make TARGET SCALE=test` runs after its set-up, as make itself prints it."""
    (clone / ".venv").mkdir(exist_ok=True)
    for mark in (".installed", ".editable"):
        (clone / ".venv" / mark).touch()
    done = subprocess.run(["make", "-n", target, "SCALE=test"], cwd=clone, capture_output=True, text=True, check=True)
    return re.sub(r"\S*/python ", "", done.stdout.strip().splitlines()[-1]).replace('""', "").split()


def test_from_a_clone_to_a_translated_sentence(clone: Path) -> None:
    command = recipe(clone, "table2")
    assert command[:4] == ["-m", "skipln.tables", "run", "table2"]
    words = ["-m", "skipln.tables", "run", "table2", "--scale", "test"]
    made = said(clone, *words)
    assert "| rSkip+LN λ=2 " in made.stdout and "(n=1)" in made.stdout

    # The page is where the last line says, with the curves beside it.
    (where,) = re.findall(r"^in (\S+): table\.md,.* curves\.html", made.stderr, re.MULTILINE)
    page = clone / where
    assert "| rSkip+LN λ=2 " in (page / "table.md").read_text("utf-8")
    assert "<svg" in (page / "curves.svg").read_text("utf-8") and "</html>" in (page / "curves.html").read_text("utf-8")
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == ""  # no committed file has changed, and no untracked file is left

    # Translate a sentence with the run that the last line names, which README calls runs/HASH, then export the run.
    (run,) = re.findall(r"^use its runs .*: .*skipln[-.]translate (runs/\w+) FILE$", made.stderr, re.MULTILINE)
    translated = said(clone, "-m", "skipln.translate", run, given="Save the file.\n")
    assert translated.stdout.count("\n") == 1
    exported = said(clone, "-m", "skipln.export", run, "--to", "safetensors")
    home = clone.parent / "home"
    (clone / exported.stdout.strip()).rename(home)
    again = said(clone, "-m", "skipln.translate", str(home), given="Save the file.\n")
    assert again.stdout == translated.stdout

    assert "table2 · test: 7 of 7 runs are finished" in said(clone, *words).stderr  # nothing is repeated
