"""Fashion-MNIST from idx files that these tests write byte by byte."""

import gzip
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from skipln.data.images import idx, published
from skipln.data.images.published import FASHION, load_published
from skipln.errors import UserError

TRAIN = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
TEST = TRAIN[:2, ::-1]


def packed(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + array.tobytes()


def write(folder: Path, compressed: bool = True) -> Path:
    """Write the four files; the classes of the training images are 9, 0, 1, 2, 3."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, images in (("train", TRAIN), ("t10k", TEST)):
        labels = np.array([9, 0, 1, 2, 3][: len(images)], np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            content = packed(np.ascontiguousarray(array))
            path = folder / (f"{name}.gz" if compressed else name)
            path.write_bytes(gzip.compress(content) if compressed else content)
    return folder


def test_debians_and_torchvisions_folders_give_the_same_data(tmp_path):
    """Debian has .gz files in the folder itself, and torchvision plain files in FashionMNIST/raw."""
    debian = write(tmp_path / "fashion-mnist")
    write(tmp_path / "torchvision" / "FashionMNIST" / "raw", compressed=False)
    for folder in (debian, tmp_path / "torchvision"):
        classes, train, test = load_published("fashion_mnist", folder)
        assert classes == [*FASHION]
        assert train.images.shape == (5, 4, 3, 1)
        assert np.array_equal(train.images[..., 0], TRAIN)
        assert np.array_equal(test.images[..., 0], TEST)
        assert (train.labels.tolist(), test.labels.tolist()) == ([9, 0, 1, 2, 3], [9, 0])
        assert train.labels.dtype == np.int64
    assert sorted(path.name for path in debian.iterdir()) == sorted(f"{name}.gz" for name in idx.NAMES), (
        "a lock was left"
    )


def test_reader_and_classes_equal_torchvisions(tmp_path):
    from torchvision.datasets import FashionMNIST

    write(tmp_path / "FashionMNIST" / "raw", compressed=False)
    theirs = FashionMNIST(str(tmp_path), train=True)
    _, ours, _ = load_published("fashion_mnist", tmp_path)
    assert list(FASHION) == FashionMNIST.classes
    assert np.array_equal(ours.images[..., 0], theirs.data.numpy())
    assert np.array_equal(ours.labels, theirs.targets.numpy())


@pytest.mark.parametrize("layout", [".", "FashionMNIST/raw"])
@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("train-images-idx3-ubyte.gz", lambda content: content[:-9], "train-images-idx3-ubyte.gz cannot be read"),
        ("train-images-idx3-ubyte.gz", lambda content: b"<html>", "train-images-idx3-ubyte.gz cannot be read"),
        ("t10k-labels-idx1-ubyte.gz", lambda content: content[:12] + b"\xff" + content[13:], "is not an idx file"),
        ("t10k-labels-idx1-ubyte.gz", lambda content: content[:-6] + b"\xff" + content[-5:], "cannot be read"),
        ("t10k-labels-idx1-ubyte.gz", lambda content: b"", "is not an idx file of unsigned bytes with 1 axes"),
        ("train-labels-idx1-ubyte.gz", lambda _: gzip.compress(packed(TRAIN)), "is not an idx file .* with 1 axes"),
        ("train-images-idx3-ubyte.gz", lambda _: gzip.compress(packed(TRAIN)[:-7]), "announces 5 × 4 × 3 bytes but "),
        ("train-images-idx3-ubyte.gz", lambda _: gzip.compress(packed(TRAIN)[:9]), "is not an idx file"),
    ],
)
def test_a_damaged_file_is_one_line(layout, name, damage, said, tmp_path):
    folder = write(tmp_path / layout)
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=said) as error:
        load_published("fashion_mnist", tmp_path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_unpacks_to_gigabytes_is_refused(tmp_path):
    """Whether its header says so or not: 1 MB of gzip can hold 1 GB of zeros."""
    path = write(tmp_path) / "train-images-idx3-ubyte.gz"
    header = packed(TRAIN)[:4]
    for shape, said in (
        (b"\0\1\0\0" * 3, "more than such a set of images has"),
        (b"\0\0\0\1" * 3, "but contains more"),
    ):
        path.write_bytes(gzip.compress(header + shape + bytes(16 << 20)))
        tracemalloc.start()
        with pytest.raises(UserError, match=said):
            idx.load(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()


def test_a_missing_file_is_one_line(tmp_path):
    (write(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is missing; the folder must contain ") as error:
        load_published("fashion_mnist", tmp_path)
    assert "\n" not in str(error.value)


def test_a_read_only_folder_is_read_without_a_lock(tmp_path, monkeypatch):
    """Such as a shared folder with the files in it."""
    write(tmp_path / "FashionMNIST" / "raw", compressed=False)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(published, "locked", None)
    assert len(load_published("fashion_mnist", tmp_path)[1]) == 5
