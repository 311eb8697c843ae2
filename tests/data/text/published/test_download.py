"""Downloads from a server that cuts connections, has wrong bytes, or lacks the file."""

import errno
import hashlib
import json
import random
from pathlib import Path

import pytest

from skipln.data.text.published import archives, download
from skipln.data.text.published.download import Remote, fetch
from skipln.errors import UserError
from tests.data.text.server import Server

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def remote(server: Server, *paths: str, checksum: str | None = SHA256) -> Remote:
    return Remote("a.bin", tuple(server.url(path) for path in paths), checksum)


@pytest.mark.parametrize("checksum", [SHA256, f"md5:{hashlib.md5(CONTENT).hexdigest()}", None])
def test_cut_downloads_are_resumed(server: Server, tmp_path: Path, checksum: str | None) -> None:
    server.files["one"], server.cuts["one"] = CONTENT, 3
    path = fetch(remote(server, "one", checksum=checksum), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.requests["one"] == 4
    assert server.sent["one"] == len(CONTENT)  # nothing twice
    assert fetch(remote(server, "one", checksum=checksum), tmp_path) == path
    assert server.requests["one"] == 4
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == ["a.bin", "checksums.json"]


def test_a_download_of_an_earlier_command_is_resumed(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".part-any-a.bin").write_bytes(CONTENT[:200_000])
    server.files["one"] = CONTENT
    fetch(remote(server, "one"), tmp_path)
    assert server.sent["one"] == 100_000
    (tmp_path / "a.bin").rename(tmp_path / ".part-any-a.bin")  # the partial file is complete
    assert fetch(remote(server, "one"), tmp_path).read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.files["one"], server.cuts["one"], server.resumes = CONTENT, 1, False
    assert fetch(remote(server, "one"), tmp_path).read_bytes() == CONTENT


def test_the_next_mirror_is_tried_after_wrong_bytes_or_a_missing_file(server: Server, tmp_path: Path) -> None:
    server.files |= {"bad": b"<html>sorry</html>", "good": CONTENT}
    assert fetch(remote(server, "gone", "bad", "good"), tmp_path).read_bytes() == CONTENT
    assert server.requests == {"gone": 1, "bad": 1, "good": 1}


def test_wrong_bytes_on_all_mirrors_are_one_line(server: Server, tmp_path: Path) -> None:
    server.files |= {"a": b"<html>sorry</html>", "b": CONTENT[:-1]}
    with pytest.raises(
        UserError, match=r"a.bin could not be fetched \(.*/a: wrong sha256 .*; .*/b: wrong sha256"
    ) as said:
        fetch(remote(server, "a", "b"), tmp_path)
    assert "\n" not in str(said.value)
    assert not (tmp_path / "a.bin").exists()


def test_404_on_all_mirrors_is_reported_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a: HTTP 404 Not Found; .*b: HTTP 404 .* or put the file at .*a.bin$"):
        fetch(remote(server, "a", "b"), tmp_path, pause=100)
    assert server.requests == {"a": 1, "b": 1}


def test_no_network_is_one_line(server: Server, tmp_path: Path) -> None:
    wanted = remote(server, "one")
    server.stop()
    with pytest.raises(UserError, match=r"refused.*; check the network and start again"):
        fetch(wanted, tmp_path, pause=0)


def test_without_a_published_checksum_the_first_download_sets_it(server: Server, tmp_path: Path) -> None:
    wanted = remote(server, "one", checksum=None)
    server.files["one"] = CONTENT
    fetch(wanted, tmp_path)
    assert json.loads((tmp_path / "checksums.json").read_text()) == {"a.bin": SHA256.removeprefix("sha256:")}
    (tmp_path / "a.bin").write_bytes(b"damaged")
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT
    (tmp_path / "a.bin").unlink()
    server.files["one"] = CONTENT[::-1]
    with pytest.raises(UserError, match=r"SHA-256 \w+…, but \w+… when it was first fetched"):
        fetch(wanted, tmp_path)
    download.forget(wanted, tmp_path)
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_a_users_file_is_never_deleted(server: Server, tmp_path: Path, checksum: str | None, capsys) -> None:
    """The user put it there as the message asks, but its bytes are not the published ones, or it is useless."""
    server.files["one"] = CONTENT
    (tmp_path / "a.bin").write_bytes(b"mine")
    wanted = remote(server, "one", checksum=checksum)
    damage = archives.damage if checksum else lambda path: "damaged" if path.read_bytes() == b"mine" else None
    assert fetch(wanted, tmp_path, damage).read_bytes() == CONTENT
    assert (tmp_path / "a.bin.other-1").read_bytes() == b"mine"
    assert "is not the expected file; it is kept as a.bin.other-1" in capsys.readouterr().err
    download.forget(remote(server, "one", checksum=None), tmp_path)
    assert (tmp_path / "a.bin.other-2").read_bytes() == CONTENT


def test_a_truncated_archive_is_recognised(server: Server, tmp_path: Path, tgz: bytes) -> None:
    server.files |= {"short": tgz[:-20], "page": b"<html>sorry</html>", "whole": tgz}
    urls = tuple(map(server.url, ("short", "page", "whole")))
    assert fetch(Remote("a.tgz", urls), tmp_path, archives.damage).read_bytes() == tgz
    with pytest.raises(UserError, match=r"damaged archive .*; .*damaged archive"):
        fetch(Remote("b.tgz", urls[:2]), tmp_path, archives.damage)


def test_a_full_disk_ends_the_download(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files |= {"one": CONTENT, "two": CONTENT}
    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: object, **more: object):  # type: ignore[no-untyped-def]
        if path.name.startswith(".part-") and mode != "rb":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, mode, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match="the disk is full; free some space and start the same command again"):
        fetch(remote(server, "one", "two"), tmp_path)
    assert server.requests["two"] == 0  # another mirror would not help


def test_a_server_that_sends_one_byte_per_connection_is_given_up(server: Server, tmp_path: Path) -> None:
    server.files["one"], server.crumb = CONTENT, 1
    with pytest.raises(UserError, match=r"cut off after \d+ of 300,000 bytes"):
        fetch(remote(server, "one"), tmp_path, pause=0)
    assert server.requests["one"] <= download.ROUNDS * (download.SHORT + 1)


def test_a_slow_or_endless_server_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["one"] = CONTENT
    monkeypatch.setattr(download, "LARGEST", 1_000)
    with pytest.raises(UserError, match=r"more than 1,000 bytes, which no corpus has"):
        fetch(remote(server, "one"), tmp_path, pause=0)
    monkeypatch.setattr(download, "LARGEST", 1 << 30)
    monkeypatch.setattr(download, "_CHUNK", 1_000)
    monkeypatch.setattr(download, "SHORT", -1)  # nothing is forgiven
    monkeypatch.setattr(download, "WINDOW", 1e-9)  # so every check comes after the window
    monkeypatch.setattr(download, "SLOWEST", float("inf"))
    with pytest.raises(UserError, match="slower than inf bytes a second"):
        fetch(Remote("b.bin", (server.url("one"),), SHA256), tmp_path, pause=0)
