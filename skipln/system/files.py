"""Write files whole or not at all, and let one process at a time own them."""

import errno
import fcntl
import hashlib
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from skipln.errors import UserError

_REFUSED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)


class DiskError(UserError):
    """The disk is full or not writable; another source of the same data would not help."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or failing disk or a missing permission into one clear line (`DiskError`).

    The line names the file that the system reported, else `path`.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        found = _system_error(error)
        if found is None:
            raise
        place = found.filename or path
        if found.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskError(f"{place}: the disk is full; free some space and start the same command again") from error
        if found.errno in _REFUSED:
            raise DiskError(f"{place}: not writable; choose another folder or fix its permissions") from error
        if found.errno == errno.EIO:
            raise DiskError(f"{place}: the disk fails (input/output error); use another one") from error
        raise


def _system_error(error: BaseException | None) -> OSError | None:
    """The system's error, even if torch.save wrapped it in a RuntimeError."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO]:
    """Open a temporary file beside `path`; on success sync it and rename it to `path`, else remove it.

    A reader sees the old file or the new one, never a part. A link stays, and the file that it names is written. A
    device or a pipe, such as /dev/null, is written in place: a rename would replace it by a file, for every program of
    the machine. Raises `UserError` when the disk is full.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with disk_errors(path), path.open(mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        return
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open(mode, encoding=None if "b" in mode else "utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):  # a folder that is missing or not writable has no such file
            temporary.unlink(missing_ok=True)


def put_aside(path: Path) -> None:
    """Rename an unexpected file, with a line on stderr, instead of deleting it: a user may have put it there."""
    other = next(found for i in itertools.count(1) if not (found := path.with_name(f"{path.name}.other-{i}")).exists())
    path.rename(other)
    print(f"note: {path} is not the expected file; it is kept as {other.name}", file=sys.stderr)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_folder(new: Path, folder: Path) -> None:
    """Replace `folder` with its sibling `new`, whole. If a kill interrupts this, `recover_folder` repairs it."""
    old = _former(folder)
    with disk_errors(folder):
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Repair a killed `replace_folder`: `folder` is then the former one or the new one, and no other is left."""
    old = _former(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _former(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


@contextmanager
def locked(path: Path, busy: str = "") -> Iterator[None]:
    """Hold an exclusive lock on the file `path` (created if missing); the kernel frees it when the process dies.

    If another process holds it, print `busy` (unless empty) on stderr and wait. The holder may remove the file.
    """
    while True:  # until the file is still there: its former holder may have removed it, and others hold a new one
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if busy:
                    print(busy, file=sys.stderr, flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                yield
                return


def is_locked(path: Path) -> bool:
    """Whether a process on this machine holds `locked(path)`."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no such file, so nobody ever held it
        return False
    return False
