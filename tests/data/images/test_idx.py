"""Fashion-MNIST from idx files that the tests write byte by byte."""

import gzip
import os
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
    """The four files; of the training images the classes are 9, 0, 1, 2, 3."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, images in (("train", TRAIN), ("t10k", TEST)):
        labels = np.array([9, 0, 1, 2, 3][: len(images)], np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            content = packed(np.ascontiguousarray(array))
            path = folder / (f"{name}.gz" if compressed else name)
            path.write_bytes(gzip.compress(content) if compressed else content)
    return folder


def test_debians_folder_and_torchvisions_hold_the_same(tmp_path):
    """Debian's: .gz files in the folder itself. torchvision's: plain ones in FashionMNIST/raw."""
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
    assert sorted(path.name for path in debian.iterdir()) == sorted(f"{name}.gz" for name in idx.NAMES), "a lock"


def test_the_reader_and_the_classes_are_as_torchvisions(tmp_path):
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
        ("t10k-labels-idx1-ubyte.gz", lambda content: content[:12] + b"\xff" + content[13:], "cannot be read"),
        ("t10k-labels-idx1-ubyte.gz", lambda content: b"", "is no idx file of unsigned bytes with 1 axes"),
        ("train-labels-idx1-ubyte.gz", lambda _: gzip.compress(packed(TRAIN)), "is no idx file .* with 1 axes"),
        ("train-images-idx3-ubyte.gz", lambda _: gzip.compress(packed(TRAIN)[:-7]), "announces 5 × 4 × 3 bytes but "),
        ("train-images-idx3-ubyte.gz", lambda _: gzip.compress(packed(TRAIN)[:9]), "is no idx file"),
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


def test_a_missing_file_is_one_line(tmp_path):
    (write(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is missing; the folder must hold ") as error:
        load_published("fashion_mnist", tmp_path)
    assert "\n" not in str(error.value)


def test_nothing_is_fetched_into_a_folder_that_is_not_writable(tmp_path, monkeypatch):
    """A shared one with the files in it serves as it is, without a lock."""
    write(tmp_path / "FashionMNIST" / "raw", compressed=False)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(published, "locked", None)
    assert len(load_published("fashion_mnist", tmp_path)[1]) == 5
