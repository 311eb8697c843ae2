"""Everything a classification task needs of its data: whole arrays of bytes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from skipln.errors import UserError


@dataclass(frozen=True)
class Split:
    """images: uint8 [n, height, width, channels], perhaps memory-mapped. labels: int64 [n], from 0."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def check(self, name: str, classes: int) -> None:
        """Raises UserError, one line that starts with `name`, where images and labels do not fit each other."""
        if len(self.images) != len(self.labels):
            raise UserError(f"{name}: {len(self.images)} images but {len(self.labels)} labels")
        if not len(self.labels):
            raise UserError(f"{name}: no image")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= classes:
            raise UserError(f"{name}: labels go from {low} to {high}, but {classes} classes have 0 to {classes - 1}")


@dataclass(frozen=True)
class ImageData:
    """Three splits and what they have in common. mean and std: of a training image's channels, 0 to 255."""

    fingerprint: str  # hexadecimal SHA-256 of the splits' images and labels
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: Split = field(repr=False)
    valid: Split = field(repr=False)
    test: Split = field(repr=False)

    @classmethod
    def assemble(cls, name: str, classes: Sequence[str], train: Split, test: Split, valid: int) -> "ImageData":
        """Hold `valid` images of `train` out for validation, the same ones in every run.

        valid=0 holds out none, as He et al. 2016 do: then the test set is what validation shows, which chooses
        nothing, as the weights that are tested are the last. Raises UserError for labels out of range, an empty split,
        or a training set that is too small.
        """
        train.check(f"{name}, train", len(classes))
        test.check(f"{name}, test", len(classes))
        if train.images.shape[1:] != test.images.shape[1:]:
            raise UserError(
                f"{name}: train and test images differ in shape, {train.images.shape[1:]}, {test.images.shape[1:]}"
            )
        if valid >= len(train):
            raise UserError(f"data.valid={valid} leaves none of the {len(train)} training images of {name}")
        held_out = test
        if valid:
            order = np.random.default_rng(0).permutation(len(train))
            kept = np.sort(order[valid:])
            held_out = Split(train.images[np.sort(order[:valid])], train.labels[np.sort(order[:valid])])
            train = Split(train.images[kept], train.labels[kept])
        mean, std = _moments(train.images)
        return cls(_fingerprint(train, held_out, test), tuple(classes), mean, std, train, held_out, test)

    @property
    def channels(self) -> int:
        return int(self.train.images.shape[3])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.train.images.shape[1]), int(self.train.images.shape[2])


def _moments(images: np.ndarray, chunk: int = 4096) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, from counts of the 256 values: exact, without a copy in floats."""
    values, means, stds = np.arange(256), [], []
    for channel in range(images.shape[3]):
        counts = np.zeros(256)
        for start in range(0, len(images), chunk):
            counts += np.bincount(images[start : start + chunk, ..., channel].ravel(), minlength=256)
        counts /= counts.sum()
        mean = float(counts @ values)
        means.append(mean)
        stds.append(max(float(counts @ (values - mean) ** 2) ** 0.5, 1e-3))  # a single colour: nothing to divide by
    return tuple(means), tuple(stds)


def _fingerprint(*splits: Split) -> str:
    digest = hashlib.sha256()
    for split in splits:
        digest.update(repr(split.images.shape).encode())
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels, dtype=np.int64).data)
    return digest.hexdigest()
