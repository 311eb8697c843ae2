"""A seal on a zip file such as `torch.save` writes: its owner, and a SHA-256 of every other byte of the file.

The seal is in the archive's comment, so that torch and any zip program can still read the file.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import IO, Any

from skipln.errors import UserError

_END = b"PK\5\6"  # begins a zip file's end record: 22 bytes, of which the last two are the comment's length
_END_SIZE = 22
_DIGEST = 64  # hexadecimal digits
_MOST = 1024  # bytes that a comment may have


def seal(file: IO[bytes], owner: dict[str, Any]) -> None:
    """Seal a zip file that was just written to `file`, which must also be readable."""
    header = json.dumps(owner, sort_keys=True).encode()
    size = file.seek(-_END_SIZE, 2) + _END_SIZE
    end = file.read()
    assert end[:4] == _END and end[-2:] == b"\0\0" and len(header) + _DIGEST <= _MOST
    file.seek(size - 2)
    file.write(struct.pack("<H", len(header) + _DIGEST) + header)
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0, 2)
    file.write(digest.encode())


def check_seal(path: Path, owner: dict[str, Any]) -> None:
    """Raise UserError unless every byte of the file is as `seal` left it, and `owner` is its owner."""
    found = read_seal(path)
    if found is None:
        raise UserError(f"{path}: damaged, or made before checkpoints had a seal")
    if found != owner:
        raise UserError(f"{path}: belongs to another run or update ({json.dumps(found, sort_keys=True)})")


def read_seal(path: Path) -> dict[str, Any] | None:
    """Return the owner of a sealed file, or None for a file without a seal. Raises UserError if a byte has changed."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _MOST - _END_SIZE))
        tail = file.read()
        _, found, comment = tail.rpartition(_END)
        header, stated = comment[_END_SIZE - len(_END) : -_DIGEST], comment[-_DIGEST:]
        if not found or not header:
            return None
        file.seek(0)
        digest, left = hashlib.sha256(), size - _DIGEST
        while chunk := file.read(min(left, 1 << 20)):
            digest.update(chunk)
            left -= len(chunk)
    if digest.hexdigest().encode() != stated:
        raise UserError(f"{path}: damaged (its SHA-256 has changed since it was saved)")
    owner: dict[str, Any] = json.loads(header)
    return owner
