"""Everything a classification task needs of its data."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from skipln.errors import UserError


class ImageSplit(Protocol):
    """Images that all have one shape (height, width, channels) when read, and their labels, int64 [n], from 0."""

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def part(self, chosen: np.ndarray) -> "ImageSplit":
        """Return the split with only the images of these indices."""

    def read(self, chosen: np.ndarray, draw: tuple[int, int] | None) -> Tensor:
        """Return uint8 [B, C, H, W]. `draw`: seed and epoch for a split that augments while it reads; None: no
        augmentation."""

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean and standard deviation of each channel, on the scale 0 to 255."""

    def digest_into(self, digest: "hashlib._Hash") -> None:
        """Feed everything that identifies the split to a digest."""


@dataclass(frozen=True)
class Split:
    """An ImageSplit held in one array. images: uint8 [n, height, width, channels], perhaps memory-mapped."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape[1:]

    def part(self, chosen: np.ndarray) -> "Split":
        return Split(self.images[chosen], self.labels[chosen])

    def read(self, chosen: np.ndarray, draw: tuple[int, int] | None) -> Tensor:
        """Return the images channels last in memory and not augmented: their device augments whole batches."""
        return torch.from_numpy(self.images[chosen]).permute(0, 3, 1, 2)

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Compute them from counts of the 256 values, which is exact and needs no copy in floats."""
        values, chunk, means, stds = np.arange(256), 4096, [], []
        for channel in range(self.images.shape[3]):
            counts = np.zeros(256)
            for start in range(0, len(self), chunk):
                counts += np.bincount(self.images[start : start + chunk, ..., channel].ravel(), minlength=256)
            counts /= counts.sum()
            mean = float(counts @ values)
            means.append(mean)
            stds.append(max(float(counts @ (values - mean) ** 2) ** 0.5, 1e-3))  # a single colour has a deviation of 0
        return tuple(means), tuple(stds)

    def digest_into(self, digest: "hashlib._Hash") -> None:
        digest.update(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels, dtype=np.int64).data)


@dataclass(frozen=True)
class ImageData:
    """Three splits and what they have in common. mean, std: of each channel of the training images, 0 to 255."""

    fingerprint: str  # hexadecimal SHA-256 of the splits' labels and images (or names of image files)
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: ImageSplit = field(repr=False)
    valid: ImageSplit = field(repr=False)
    test: ImageSplit = field(repr=False)

    @classmethod
    def assemble(
        cls, name: str, classes: Sequence[str], train: ImageSplit, test: ImageSplit, valid: int
    ) -> "ImageData":
        """Hold `valid` images of `train` out for validation, the same ones in every run.

        With valid=0 none are held out, as in He et al. 2016, and validation shows the test set. That chooses nothing,
        since the last weights are the ones tested. Raises UserError for labels out of range, an empty split, or a
        training set that is too small.
        """
        _check(f"{name}, train", train, len(classes))
        _check(f"{name}, test", test, len(classes))
        if train.shape != test.shape:
            raise UserError(f"{name}: train and test images differ in shape, {train.shape}, {test.shape}")
        if valid >= len(train):
            raise UserError(f"data.valid={valid} leaves none of the {len(train)} training images of {name}; lower it")
        held_out = test
        if valid:
            order = np.random.default_rng(0).permutation(len(train))
            held_out, train = train.part(np.sort(order[:valid])), train.part(np.sort(order[valid:]))
        mean, std = train.moments()
        return cls(_fingerprint(train, held_out, test), tuple(classes), mean, std, train, held_out, test)

    @property
    def channels(self) -> int:
        return int(self.train.shape[2])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.train.shape[0]), int(self.train.shape[1])


def _check(name: str, split: ImageSplit, classes: int) -> None:
    """Raise UserError, one line that starts with `name`, when images and labels do not match."""
    if isinstance(split, Split) and len(split.images) != len(split.labels):
        raise UserError(f"{name}: {len(split.images)} images but {len(split.labels)} labels")
    if not len(split):
        raise UserError(f"{name}: no image")
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= classes:
        raise UserError(f"{name}: labels go from {low} to {high}, but {classes} classes have 0 to {classes - 1}")


def _fingerprint(*splits: ImageSplit) -> str:
    digest = hashlib.sha256()
    for split in splits:
        split.digest_into(digest)
    return digest.hexdigest()
