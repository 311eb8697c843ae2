"""The folder that an export writes: whole or not at all, and never over something that is no export."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skipln.data.folders import SUMS, atomic_folder
from skipln.errors import UserError
from skipln.system.files import atomic_write, locked
from skipln.system.strict_json import read_json

ABOUT = "export.json"  # what was exported to what, and the files: so a folder is known as an export


def require_free(folder: Path, run: Path) -> None:
    """Raise UserError where something is in the way that is not just what an export wrote."""
    if run.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{folder}: the run itself lies there; give another folder")
    if not folder.exists() and not folder.is_symlink():
        return
    try:
        ours = {ABOUT, SUMS, *read_json(folder / ABOUT)["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    if not ours or not set(_files(folder)) <= ours:
        raise UserError(f"{folder}: there already, and not just what an export wrote; give another folder")


@contextmanager
def export_folder(folder: Path, about: dict[str, str]) -> Iterator[Path]:
    """A folder to write into, which becomes `folder` when all is written; an earlier export there is replaced."""
    lock = folder.with_name(f".{folder.name}.lock")
    with locked(lock, busy=f"{folder}: waiting for another export"):
        try:
            with atomic_folder(folder) as work:
                yield work
                with atomic_write(work / ABOUT, "w") as file:
                    json.dump({**about, "files": _files(work)}, file, indent=1)
        finally:
            lock.unlink(missing_ok=True)


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
