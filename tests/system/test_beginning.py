"""Ctrl-C at any time is one line and status 130, even while a command is still importing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skipln.system.places import ROOT

COMMANDS = [
    *(f"skipln.{name}" for name in ("train", "tables", "translate", "classify", "evaluate", "figures", "export")),
    *("scripts.score", "scripts.rerun", "scripts.bench", "scripts.prepare_data"),
]
PRESSED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


@pytest.fixture
def interrupted(tmp_path: Path) -> dict[str, str]:
    """Return an environment that simulates Ctrl-C while argparse or Hydra is imported, whichever comes first."""
    for name in ("argparse", "hydra"):
        (tmp_path / f"{name}.py").write_text(PRESSED)
    return {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}


def stopped(*command: str, environment: dict[str, str]) -> None:
    found = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr.strip()) == (130, "", "stopped")


@pytest.mark.parametrize("module", COMMANDS)
def test_a_module_stops_while_importing(module: str, interrupted: dict[str, str]) -> None:
    stopped(sys.executable, "-m", module, environment=interrupted)


def test_a_console_script_stops_while_importing(interrupted: dict[str, str]) -> None:
    """The script is as an installer writes it."""
    code = "import sys; sys.argv = ['/usr/bin/skipln-train']; from skipln.train import command; sys.exit(command())"
    stopped(sys.executable, "-c", code, environment=interrupted)


def test_a_program_that_imports_the_package_keeps_its_tracebacks() -> None:
    code = "import sys; import skipln; assert sys.excepthook is sys.__excepthook__; raise KeyboardInterrupt"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stderr.endswith("KeyboardInterrupt\n")
    assert "Traceback" in found.stderr


def test_a_package_that_imports_skipln_keeps_its_tracebacks(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/__init__.py").write_text("import skipln\n")
    (tmp_path / "own/work.py").write_text("raise KeyboardInterrupt\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "own.work"]
    found = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert "Traceback" in found.stderr


def test_other_errors_while_importing_keep_their_traceback(interrupted: dict[str, str]) -> None:
    Path(interrupted["PYTHONPATH"].split(os.pathsep)[0], "hydra.py").write_text("raise RuntimeError('torn')")
    Path(interrupted["PYTHONPATH"].split(os.pathsep)[0], "argparse.py").unlink()
    command = [sys.executable, "-m", "skipln.train"]
    found = subprocess.run(command, env=interrupted, cwd="/", capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "Traceback" in found.stderr and "RuntimeError: torn" in found.stderr
