import hashlib
import os
from pathlib import Path

import pytest

from skipln.data import checksums
from skipln.data.checksums import remembered_sha256


def test_small_files_are_always_read(tmp_path: Path) -> None:
    path, memory = tmp_path / "file", tmp_path / "memory.json"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        os.utime(path, ns=(0, 0))
        assert remembered_sha256(path, memory) == hashlib.sha256(content).hexdigest()
    assert not memory.exists()


def test_big_files_are_read_again_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "SMALL", 0)
    path, memory = tmp_path / "file", tmp_path / "memory.json"
    path.write_bytes(b"one")
    os.utime(path, ns=(0, 0))
    first = remembered_sha256(path, memory)
    with monkeypatch.context() as patch:
        patch.setattr(checksums, "sha256", lambda _: pytest.fail("read again"))
        assert remembered_sha256(path, memory) == first
    path.write_bytes(b"two")
    assert remembered_sha256(path, memory) == hashlib.sha256(b"two").hexdigest()
    memory.write_text("damaged")
    assert remembered_sha256(path, memory) == hashlib.sha256(b"two").hexdigest()
