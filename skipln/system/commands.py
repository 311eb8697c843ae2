"""Command lines as shown to the user."""

import sys
from pathlib import Path


def how_to_use(task: str, folder: Path) -> str:
    """The command line that uses a run of a task: the installed script if there is one, else the module."""
    command, arguments = ("translate", "FILE") if task == "translation" else ("classify", "IMAGE")
    script, python = Path(sys.executable).with_name(f"skipln-{command}"), Path(sys.executable)
    start = _shown(script) if script.is_file() else f"{_shown(python)} -m skipln.{command}"
    return f"{start} {_shown(folder)} {arguments}"


def _shown(path: Path) -> str:
    """The path, relative to the working directory if it is inside."""
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(path)
