"""A user's mistake, such as a damaged record, is one line and status 2 in the commands of scripts/ too."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    path for path in sorted((ROOT / "scripts").rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text("utf-8") and "bench" not in path.parts
]  # fmt: skip


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_answers_as_skipln_does(path: Path) -> None:
    """`exit_status` also lets it print on a terminal with any encoding, and stop quietly."""
    assert any(word in path.read_text("utf-8") for word in ("exit_status(", "run_script(", "prepare_and_report("))


@pytest.mark.parametrize("name", ["verify_results", "judge_divergence"])
def test_a_damaged_record_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "demo" / "table2").mkdir(parents=True)
    (tmp_path / "demo" / "table2" / "records.jsonl").write_text("{")
    command = [sys.executable, "-m", f"scripts.{name}", "--results", str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)
    assert found.stderr.startswith("error: ") and "records.jsonl, line 1: damaged (not JSON)" in found.stderr
