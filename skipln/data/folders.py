"""Folders that are complete or absent, and whose files are checked against the sums taken when they were made."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from skipln.errors import UserError
from skipln.system.files import atomic_write, disk_errors, sha256
from skipln.system.strict_json import read_json

SUMS = "sums.json"


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; on success add checksums and rename it to `folder`, else remove it.

    An old `folder` is replaced. The caller must hold a lock for it, since what a dead process left is removed first.
    Raises `UserError` when the disk is full or not writable.
    """
    prefix = f".{folder.name}."
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left_over in folder.parent.glob(f"{prefix}*.tmp"):
            shutil.rmtree(left_over, ignore_errors=True)
        work = Path(mkdtemp(prefix=prefix, suffix=".tmp", dir=folder.parent))
        try:
            work.chmod(0o755)  # mkdtemp's 0o700 would lock out the users a cache is shared with
            yield work
            write_sums(work)
            if folder.exists():
                shutil.rmtree(folder)
            work.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def write_sums(folder: Path, paths: Iterable[Path] | None = None) -> None:
    """Write the checksums that `check_sums` will compare with: of the files in `paths`, or of all in the folder."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir() if paths is None else paths) if path.is_file()}
    with atomic_write(folder / SUMS, "w") as file:
        json.dump({"files": files, "sha256": _digest(files)}, file, indent=1)


def check_sums(folder: Path, only: str = "") -> None:
    """Raise UserError unless every file, or the one named by `only`, is as it was when the folder was made.

    This reads all bytes: a core hashes about a gigabyte a second, and the encoded text of WMT14 is half of one.
    """
    try:
        content = read_json(folder / SUMS)
        files = dict(content["files"])
        if content["sha256"] != _digest(files):
            raise UserError(f"{folder / SUMS}: damaged")
        for name, wanted in ({only: files[only]} if only else files).items():
            if sha256(folder / Path(name).name) != wanted:
                raise UserError(f"{folder / name}: changed since it was made")
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / SUMS}: damaged ({type(error).__name__})") from error


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
