"""Class folders and tars of them are read correctly and only once, and every mistake is one line."""

import io
import os
import shutil
import tarfile

import numpy as np
import pytest

from skipln.data.images import ImageData
from skipln.data.images.class_folders import load_class_folders
from skipln.errors import UserError
from tests.data.images.conftest import jpeg, write_image


def test_a_folder_and_its_tar_give_the_same_data(class_folders, archive, tmp_path):
    classes, train, test = load_class_folders(class_folders, 0, tmp_path / "cache")
    assert classes == ["blue", "red"]
    assert train.images.shape == (12, 8, 8, 3)
    assert train.images.dtype == np.uint8
    assert train.labels.tolist() == [0] * 6 + [1] * 6
    assert test.labels.tolist() == [0] * 3 + [1] * 3
    assert train.images[0, ..., 2].mean() > 150 > train.images[0, ..., 0].mean()  # blue

    _, packed, _ = load_class_folders(archive, 0, tmp_path / "cache")
    assert np.array_equal(packed.images, train.images)


def test_images_are_decoded_only_once(class_folders, tmp_path):
    load_class_folders(class_folders, 0, tmp_path / "cache")
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix == ".npy"]
    stamps = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    _, train, _ = load_class_folders(class_folders, 0, tmp_path / "cache")
    assert isinstance(train.images, np.memmap)
    assert files and stamps == [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]


def test_a_changed_folder_is_read_again(class_folders, tmp_path):
    load_class_folders(class_folders, 0, tmp_path / "cache")
    write_image(class_folders / "train/red/more.png", (200, 30, 30))
    assert len(load_class_folders(class_folders, 0, tmp_path / "cache")[1]) == 13


def test_images_are_scaled_to_one_size_on_demand(class_folders, tmp_path):
    write_image(class_folders / "train/red/wide.png", (200, 30, 30), size=(20, 10))
    with pytest.raises(
        UserError, match=r"wide\.png has 10 × 20 pixels, others have 8 × 8: give one size as data\.size"
    ):
        load_class_folders(class_folders, 0, tmp_path / "cache")
    _, train, _ = load_class_folders(class_folders, 6, tmp_path / "cache")
    assert train.images.shape == (13, 6, 6, 3)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "no such folder or archive of images; give it as data.dir=…"),
        (lambda folder: (folder / "train/green").mkdir(), "train/green contains no image"),
        (lambda folder: shutil.rmtree(folder / "test/red"), "test/red contains no image"),
        (
            lambda folder: shutil.rmtree(folder / "test"),
            "no class folder test/<class>/; it must contain train and test",
        ),
        (lambda folder: (folder / "train/red/x.jpg").write_bytes(jpeg()[:600]), "train/red/x.jpg is truncated or not"),
        (lambda folder: (folder / "train/red/x.jpg").write_bytes(b"no image"), "train/red/x.jpg is truncated or not"),
        (lambda folder: (folder / "train/red/x.png").touch(), "train/red/x.png is truncated or not an image"),
        (
            lambda folder: (folder / "train/red").rename(folder / "train" / os.fsdecode(b"r\xe9d")),
            "the name of class r\udce9d is not UTF-8; rename its folder",
        ),
    ],
)
def test_a_mistake_is_one_line(class_folders, tmp_path, damage, said):
    damage(class_folders)
    with pytest.raises(UserError) as error:
        load_class_folders(class_folders, 0, tmp_path / "cache")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").rglob("*.npy"))


@pytest.mark.parametrize(
    "damaged",
    [
        lambda whole: whole[: len(whole) // 2 - 700],
        lambda whole: b"no tar at all" * 99,
        lambda whole: b"",
        lambda whole: whole[:3000] + b"\xff" * 3000 + whole[6000:],
    ],
)
def test_a_damaged_archive_is_one_line(archive, tmp_path, damaged):
    archive.write_bytes(damaged(archive.read_bytes()))
    with pytest.raises(UserError, match=r"pictures\.tar: ") as error:
        load_class_folders(archive, 0, tmp_path / "cache")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_links_and_climbing_names_in_a_tar_are_ignored(class_folders, tmp_path):
    """They are not images of a class folder, and no member is ever unpacked."""
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(class_folders, arcname=".")
        link = tarfile.TarInfo("train/red/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        climbing = tarfile.TarInfo("../../train/red/out.png")
        climbing.size = 3
        tar.addfile(climbing, io.BytesIO(b"abc"))
    _, train, _ = load_class_folders(path, 0, tmp_path / "cache")
    assert len(train) == 12


def test_assembled_data_knows_its_moments(class_folders, tmp_path):
    classes, train, test = load_class_folders(class_folders, 0, tmp_path / "cache")
    data = ImageData.assemble("pictures", classes, train, test, valid=2)
    assert (len(data.train), len(data.valid), len(data.test)) == (10, 2, 6)
    assert data.mean == pytest.approx(data.train.images.mean((0, 1, 2)))
    assert data.std == pytest.approx(data.train.images.std((0, 1, 2)))
