import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from skipln.data.text.published.archives import damage, extract
from skipln.errors import UserError


def test_members_are_written_only_where_we_say(tmp_path: Path, tgz: bytes) -> None:
    archive, out = tmp_path / "in" / "a.tgz", tmp_path / "out.en"
    archive.parent.mkdir()
    archive.write_bytes(tgz)
    extract(archive, {out: ("a.en", "training/a.en")})
    assert out.read_bytes() == b"one\ntwo\n" * 500
    assert {path.name for path in tmp_path.rglob("*")} == {"in", "a.tgz", "out.en"}  # no "../out"
    assert damage(archive) is None


def test_zip_and_plain_files_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/a.en", "one\n")
    extract(tmp_path / "a.zip", {tmp_path / "one": ("x/a.en",)})
    extract(tmp_path / "one", {tmp_path / "two": ("one",)})
    assert (tmp_path / "two").read_text() == "one\n"
    (tmp_path / "none").touch()
    assert damage(tmp_path / "one") is None
    assert damage(tmp_path / "none") == "empty"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.en")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(UserError, match=r"a.en is not a plain file; not taken"):
        extract(tmp_path / "a.tar", {tmp_path / "out": ("a.en",)})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.tgz", "a.zip"])
@pytest.mark.parametrize("content", ["cut", "page", "flipped"])
def test_a_damaged_archive_is_one_line(tmp_path: Path, tgz: bytes, name: str, content: str) -> None:
    whole = tgz
    if name == "a.zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("training/a.en", "one\ntwo\n" * 500)
        whole = buffer.getvalue()
    middle = len(whole) // 2 if name == "a.tgz" else 60
    flipped = bytearray(whole)
    flipped[middle] ^= 0xFF
    path = tmp_path / name
    path.write_bytes({"cut": whole[:middle], "page": b"<html>no</html>", "flipped": bytes(flipped)}[content])
    assert "damaged archive" in str(damage(path))
    with pytest.raises(UserError, match=r"damaged \(.*\); remove it and start again") as said:
        extract(path, {tmp_path / "out": ("training/a.en", "missing")})
    assert "\n" not in str(said.value)


def test_a_missing_member_is_named(tmp_path: Path, tgz: bytes) -> None:
    (tmp_path / "a.tgz").write_bytes(tgz)
    with pytest.raises(UserError, match=r"has no b\.en or x/b\.en"):
        extract(tmp_path / "a.tgz", {tmp_path / "out": ("b.en", "x/b.en")})


def test_encryption_and_unknown_methods_are_one_line(tmp_path: Path) -> None:
    """A zip's flags declare them; zipfile itself raises RuntimeError or NotImplementedError."""
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("a.en", "one\n")
    whole = (tmp_path / "whole.zip").read_bytes()
    directory = whole.index(b"PK\x01\x02")
    for offset, value in ((6, 1), (8, 99)):  # in the local header; two bytes later in the central directory
        odd = bytearray(whole)
        odd[offset] = odd[directory + offset + 2] = value
        (tmp_path / "odd.zip").write_bytes(odd)
        assert "damaged archive" in str(damage(tmp_path / "odd.zip"))
        with pytest.raises(UserError, match=r"damaged \(.*\); remove it and start again"):
            extract(tmp_path / "odd.zip", {tmp_path / "out": ("a.en",)})


def test_a_header_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        header = tarfile.TarInfo("header")
        header.type, header.size = kind, 300 << 20
        (tmp_path / "greedy.tar").write_bytes(header.tobuf(tarfile.USTAR_FORMAT)[:512] + b"\0" * 10_240)
        assert "a header of 314,572,800 bytes" in str(damage(tmp_path / "greedy.tar"))
        with pytest.raises(UserError, match="a header of 314,572,800 bytes"):
            extract(tmp_path / "greedy.tar", {tmp_path / "out": ("a.en",)})
