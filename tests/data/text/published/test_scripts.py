"""The preparation scripts: --help, a result, and a user's mistake."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"scripts.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "name", ["prepare_data", "text_floors", "prepare_wmt14_en_de", "prepare_iwslt15_en_vi", "score"]
)
def test_help(name: str) -> None:
    assert f"usage: python -m scripts.{name}" in script(name, "--help").stdout


def test_floors(parallel_text: Path) -> None:
    found = script("text_floors", str(parallel_text)).stdout
    assert "copy the source:" in found
    assert "n = 2 sentences of" in found


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    failed = script("text_floors", str(tmp_path / "nothing"))
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)
    assert failed.stderr.startswith("error: ")
