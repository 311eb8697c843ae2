import errno
import os
import stat
import threading

import pytest

from skipln.errors import UserError
from skipln.system.files import atomic_write, is_locked, locked, sha256


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "file"
    with atomic_write(path) as file:
        file.write(b"old")
    with pytest.raises(RuntimeError, match="half-way"), atomic_write(path) as file:
        file.write(b"new")
        raise RuntimeError("half-way")
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    link, path = tmp_path / "link", tmp_path / "elsewhere" / "file"
    link.symlink_to(path)  # to a file that is not there yet, and then to one that is
    for text in ("first", "second"):
        with atomic_write(link, "w") as file:
            file.write(text)
        assert link.is_symlink() and path.read_text() == text
    assert {p.name for p in tmp_path.iterdir()} == {"link", "elsewhere"}


def test_a_pipe_is_written_in_place(tmp_path):
    """A rename would put a file in its place: of /dev/null, for every program of the machine."""
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    with atomic_write(pipe) as file:
        file.write(b"text")
    reader.join(5)
    assert got == [b"text"] and stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "not writable")])
def test_an_error_of_the_system_becomes_one_line(tmp_path, number, said):
    with pytest.raises(UserError, match=said), atomic_write(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    with pytest.raises(UserError, match=said), atomic_write(tmp_path / "file"):
        try:
            raise OSError(number, os.strerror(number))
        except OSError:
            raise RuntimeError("torch's own words") from None  # the system's error is still its context


def test_a_lock_is_waited_for(tmp_path, capsys):
    path, got_it = tmp_path / "lock", threading.Event()

    def wait_for_it():
        with locked(path, busy="busy here"):
            got_it.set()

    with locked(path):
        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        assert not got_it.wait(0.3)
    waiting.join(5)
    assert got_it.is_set()
    assert capsys.readouterr().err == "busy here\n"


def test_a_lock_that_its_holder_removes_is_taken_anew(tmp_path):
    """Otherwise one process would hold the removed file, and the next one a file of the same name."""
    path, held = tmp_path / "lock", []

    def wait_for_it():
        with locked(path):
            held.append(is_locked(path))

    with locked(path):
        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        waiting.join(0.3)
        path.unlink()
    waiting.join(5)
    assert held == [True]


def test_an_error_under_a_lock_is_not_attributed_to_the_lock(tmp_path):
    """The line names the file to which the system refused access."""
    with pytest.raises(PermissionError), locked(tmp_path / "lock"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"cache/file: not writable"), atomic_write(tmp_path / "file"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "cache" / "file"))


def test_a_file_in_place_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "runs").touch()
    for attempt in (locked(tmp_path / "runs" / "a" / "lock"), atomic_write(tmp_path / "runs" / "a" / "file")):
        with pytest.raises(UserError, match=r"runs\S*: not writable"), attempt:
            pass


def test_sha256_of_an_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
