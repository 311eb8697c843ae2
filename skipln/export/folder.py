"""The folder that an export writes: whole or not at all, and never over anything but an export."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skipln.data.folders import SUMS, atomic_folder
from skipln.errors import UserError
from skipln.system.files import atomic_write, locked
from skipln.system.strict_json import read_json

ABOUT = "export.json"  # the run, the format and the files, by which a folder is recognised as an export


def require_free(folder: Path, run: Path) -> None:
    """Raise UserError if `folder` holds the run itself, or anything that an export did not write."""
    if run.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{folder}: the run itself is there; give another folder")
    if not folder.exists() and not folder.is_symlink():
        return
    try:
        ours = {ABOUT, SUMS, *read_json(folder / ABOUT)["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    if not ours or not set(_files(folder)) <= ours:
        raise UserError(f"{folder}: exists already and holds more than an export; give another folder")


@contextmanager
def export_folder(folder: Path, about: dict[str, str]) -> Iterator[Path]:
    """Yield a folder to write into, which becomes `folder` in the end and replaces an earlier export there."""
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
