"""Read single members of downloaded archives with care: nothing is unpacked to a place that an archive names."""

import gzip
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from skipln.data.tars import DAMAGED, CarefulTarInfo
from skipln.errors import UserError
from skipln.system.files import DiskError, atomic_write
from skipln.system.printing import one_line

MAX_MEMBER = 4 << 30  # bytes; several times the largest corpus
# zipfile raises RuntimeError for an encrypted member and NotImplementedError for an unknown method, and tarfile
# TypeError for a gzip header that is cut short.
_BROKEN = (*DAMAGED, zipfile.BadZipFile, RuntimeError, ValueError, OverflowError, TypeError)


def extract(archive: Path, wanted: Mapping[Path, Sequence[str]]) -> None:
    """Write members of a tar (.tgz, .tar.gz, .tar) or zip. `wanted`: file to write -> the member's possible names.

    The first member found is taken. An archive of another suffix is a plain file and its only member. Only regular
    files of at most `MAX_MEMBER` bytes are taken. Raises `UserError` for a damaged archive and for a member that is
    missing, a link, or too large.
    """
    names = {name: path for path, choices in wanted.items() for name in choices}
    left = set(wanted)
    try:
        for name, size, file in _members(archive, set(names)):
            path = names[name]
            if path not in left:
                continue
            if size < 0 or size > MAX_MEMBER:
                raise UserError(f"{archive}: {name} is {'not a plain file' if size < 0 else 'too large'}; not taken")
            assert file is not None
            with atomic_write(path) as out:
                shutil.copyfileobj(file, out, 1 << 20)
            left.remove(path)
            if not left:
                return
    except DiskError:
        raise
    except _BROKEN as error:
        raise UserError(f"{archive}: damaged ({one_line(str(error))}); remove it and start again") from error
    if left:
        missing = " or ".join(wanted[min(left)])
        raise UserError(f"{archive}: has no {missing}; remove it and start again")


def damage(archive: Path) -> str | None:
    """Say what is wrong with an archive, or return None; a plain file must not be empty."""
    try:
        if archive.name.endswith((".tgz", ".tar.gz")):
            with gzip.open(archive) as file:  # tarfile stops after the last member, before gzip's own checksum
                while file.read(1 << 20):
                    pass
        if not any(True for _ in _members(archive, None)):
            return "empty"
    except _BROKEN as error:
        return f"damaged archive ({one_line(str(error))})"
    return None


def _members(archive: Path, names: set[str] | None) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    """Yield (name, bytes, content) of the members in `names` (None: of all); -1 bytes means: not a plain file."""
    if archive.name.endswith((".tgz", ".tar.gz", ".tar")):
        with tarfile.open(archive, "r|*", tarinfo=CarefulTarInfo) as tar:
            for info in tar:
                name = info.name.removeprefix("./")
                if names is None or name in names:
                    yield (name, info.size, tar.extractfile(info)) if info.isreg() else (name, -1, None)
    elif archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            if names is None and (bad := zipped.testzip()):
                raise zipfile.BadZipFile(f"{bad}: wrong CRC")
            for member in zipped.infolist():
                if names is None or member.filename in names:
                    plain = not member.is_dir() and (member.external_attr >> 28) in (0, 8)  # 8: Unix's regular file
                    yield (
                        (member.filename, member.file_size, zipped.open(member))
                        if plain
                        else (member.filename, -1, None)
                    )
    elif archive.stat().st_size:
        with archive.open("rb") as file:
            yield archive.name, archive.stat().st_size, file
