import errno
from pathlib import Path

import pytest

from skipln.data.folders import atomic_folder, check_sums
from skipln.errors import UserError


def test_an_old_folder_is_replaced_on_success(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "a" / "made") as work:
            (work / "file").write_text(content)
    assert (tmp_path / "a" / "made" / "file").read_text() == "new"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["made"]


def test_a_full_disk_keeps_the_old_folder_and_is_one_line(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "made") as work:
        (work / "file").write_text("old")
    with pytest.raises(UserError, match="the disk is full"), atomic_folder(tmp_path / "made") as work:
        (work / "file").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (tmp_path / "made" / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_any_changed_byte_of_a_folder_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with atomic_folder(folder) as work:
        (work / "a").write_bytes(bytes(100))
        (work / "b").write_text("text")
    check_sums(folder)
    (folder / "users.txt").write_text("any other file")
    check_sums(folder)
    for name in ("a", "b", "sums.json"):
        whole = (folder / name).read_bytes()
        for place in range(0, len(whole), 3):
            (folder / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(UserError, match=r"changed since|damaged|missing"):
                check_sums(folder)
        (folder / name).unlink()
        with pytest.raises(UserError, match="missing"):
            check_sums(folder)
        (folder / name).write_bytes(whole)
    check_sums(folder)
    (folder / "sums.json").write_text('{"files": {"../../made/a": "x"}}')
    with pytest.raises(UserError, match="damaged"):
        check_sums(folder)
