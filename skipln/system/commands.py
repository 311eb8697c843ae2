"""Command lines as they are shown to the user."""

import sys
from pathlib import Path


def how_to_use(command: str, folder: Path, arguments: str) -> str:
    """The command line that uses a run: the installed script where there is one, else the module."""
    script, python = Path(sys.executable).with_name(f"skipln-{command}"), Path(sys.executable)
    start = _shown(script) if script.is_file() else f"{_shown(python)} -m skipln.{command}"
    return f"{start} {_shown(folder)} {arguments}"


def _shown(path: Path) -> str:
    """Relative to the working directory where it is below that."""
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(path)
