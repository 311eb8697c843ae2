"""Output is readable whatever the terminal's encoding and whatever characters a file's name has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skipln.system.files import atomic_write
from skipln.system.printing import exit_status, one_line

CODE = """
from skipln.errors import UserError
from skipln.system.printing import exit_status
def command():
    print("rSkip+LN λ=2: 17.4 ± 0.6, Δ −1 → „\U0001f600“")
    raise UserError("caf\\udce9.jpg\\nis no image")
raise SystemExit(exit_status(command))
"""


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("ascii", "rSkip+LN lambda=2: 17.4 +- 0.6, Delta -1 -> ???"),
        ("iso-8859-1", "rSkip+LN lambda=2: 17.4 ± 0.6, Delta -1 -> ???"),
        ("utf-8", "rSkip+LN λ=2: 17.4 ± 0.6, Δ −1 → „\U0001f600“"),
    ],
)
def test_output_fits_the_terminals_encoding(encoding: str, said: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, env=environment, check=False)
    assert found.returncode == 2
    assert found.stdout.decode(encoding) == said + "\n"
    assert found.stderr.decode(encoding) == f"error: caf{'�' if encoding == 'utf-8' else '?'}.jpg is no image\n"


@pytest.mark.parametrize("name", ["a" * 5000, "loop"])
def test_a_path_that_no_disk_has_is_one_line(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loop").symlink_to("loop")

    def write() -> None:
        with atomic_write(tmp_path / name / "file"):
            pass

    for command in ((tmp_path / name).stat, write):
        assert exit_status(command) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1


def test_one_line_replaces_control_characters() -> None:
    assert one_line("a\nb\tc\x1b[2J\u2028\u202e\ud800 λ–") == "a b c [2J  � λ–"
