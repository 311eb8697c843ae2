"""Every file among the images is used, refused, or counted in one line; images look as in a viewer."""

import io
import os
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skipln.data.images.class_folders import load_class_folders
from skipln.data.images.decoding import decode
from skipln.data.images.photographs import load_photographs
from skipln.errors import UserError
from tests.data.images.conftest import write_image


def test_links_are_followed(class_folders, tmp_path, capsys):
    """One leads to a class folder, one to a file. Dead links and links upwards are reported, and nothing loops."""
    _, whole, _ = load_class_folders(class_folders, 0, tmp_path / "cache")
    assert capsys.readouterr().err.count("left out") == 0
    (class_folders / "train/red").rename(tmp_path / "elsewhere")
    (class_folders / "train/red").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/0005.png").rename(tmp_path / "one.png")
    (tmp_path / "elsewhere/0005.png").symlink_to(tmp_path / "one.png")
    _, linked, _ = load_class_folders(class_folders, 0, tmp_path / "cache")
    assert np.array_equal(linked.images, whole.images)
    (class_folders / "train/blue/gone.png").symlink_to(tmp_path / "nothing")
    (class_folders / "train/blue/up").symlink_to(class_folders)
    _, linked, _ = load_class_folders(class_folders, 0, tmp_path / "cache")
    assert np.array_equal(linked.images, whole.images)
    assert "left out: 1 link to nothing, 1 deeper folder" in capsys.readouterr().err


def test_links_in_a_tar(class_folders, tmp_path, capsys):
    first, second = class_folders / "train/red/0000.png", class_folders / "train/red/hard.png"
    os.link(first, second)  # a tar contains the file once and a hard link to it
    (class_folders / "train/red/soft.png").symlink_to("hard.png")
    (class_folders / "train/red/out.png").symlink_to("/etc/hostname")
    path = tmp_path / "linked.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(class_folders, arcname=".")
    _, train, _ = load_class_folders(path, 0, tmp_path / "cache")
    assert len(train) == 12 + 2
    assert "left out: 1 link to nothing" in capsys.readouterr().err


def test_known_suffixes_are_read_and_the_rest_is_counted(class_folders, tmp_path, capsys):
    for suffix in ("gif", "tif", "jfif", "JPE"):
        kind = {"gif": "GIF", "tif": "TIFF"}.get(suffix, "JPEG")
        Image.new("RGB", (8, 8)).save(class_folders / f"train/red/more.{suffix}", kind)
    for name in ("train/red/a.heic", "train/red/b.heic", "train/red/notes.txt", "train/loose.png", "valid/red/c.png"):
        (class_folders / name).parent.mkdir(parents=True, exist_ok=True)
        (class_folders / name).touch()
    write_image(class_folders / "train/red/deeper/x.png", (200, 30, 30))
    _, train, _ = load_class_folders(class_folders, 0, tmp_path / "cache")
    assert len(train) == 12 + 4
    assert set(capsys.readouterr().err.partition("left out: ")[2].strip().split(", ")) == {
        "2 .heic", "1 .txt", "1 deeper folder", "1 image in valid/", "1 image outside a class folder"
    }  # fmt: skip


def test_photographs_count_what_is_left_out_too(class_folders, capsys):
    (class_folders / "test").rename(class_folders / "val")
    (class_folders / "train/red/a.heic").touch()
    shutil.copytree(class_folders / "train/blue", class_folders / "train/blue/more")
    _, train, _ = load_photographs(class_folders, 8, 8, False)
    assert len(train) == 12
    assert set(capsys.readouterr().err.partition("left out: ")[2].strip().split(", ")) == {"1 .heic", "1 deeper folder"}


def _bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_16_bit_grey_is_scaled_to_8_bits() -> None:
    levels = np.linspace(0, 65535, 16).round().astype(np.uint16).reshape(4, 4)
    shown = np.asarray(decode(_bytes(Image.fromarray(levels)), "x"))
    assert shown[..., 0].ravel().tolist() == [round(255 * i / 15) for i in range(16)]
    for kind in (np.int32, np.float32):
        with pytest.raises(UserError, match=r"x has 32-bit pixels, whose range is not known"):
            decode(_bytes(Image.fromarray(levels.astype(kind)), "TIFF"), "x")


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_images_are_turned_upright(depth: type) -> None:
    """With orientation 6 the camera was turned by a quarter, so a viewer shows the left column as the top row."""
    grey = np.full((4, 6), 250 if depth is np.uint8 else 64250, depth)
    grey[:, 0] = 0
    exif = Image.Exif()
    exif[0x0112] = 6
    shown = np.asarray(decode(_bytes(Image.fromarray(grey), exif=exif), "x"))
    assert shown.shape == (6, 4, 3)
    assert shown[0].max() == 0
    assert shown[1:].min() == 250


@pytest.mark.parametrize("kind", ["AVIF", "TIFF", "DDS", "GIF", "WEBP", "BMP", "PPM", "JPEG"])
def test_any_format_cut_off_is_one_line(kind: str) -> None:
    """The name ends in .jpg, but the content decides which of Pillow's readers fails, and how."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    whole = _bytes(noise, kind)
    assert decode(whole, "x.jpg").size == (40, 40)
    rng = np.random.default_rng(1)
    for i in range(60):
        damaged = bytearray(whole[: len(whole) * i // 60])
        if damaged:
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        try:
            decode(bytes(damaged), "x.jpg")
        except UserError as error:
            assert str(error).startswith("x.jpg ")


def test_a_header_that_claims_gigabytes_is_refused(class_folders: Path, tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 300 << 20
    path = tmp_path / "greedy.tar"
    path.write_bytes(header.tobuf(tarfile.PAX_FORMAT)[:512])
    os.truncate(path, 400 << 20)  # zeros that take no disk space
    tracemalloc.start()
    with pytest.raises(UserError, match=r"greedy\.tar: cannot be read as a tar of images") as error:
        load_class_folders(path, 0, tmp_path / "cache")
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
    assert len(str(error.value).splitlines()) == 1
