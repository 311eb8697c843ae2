"""Photographs of many sizes, too many for memory: each is decoded, cropped and flipped when a batch needs it."""

import hashlib
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from skipln.data.folders import atomic_folder
from skipln.data.images.decoding import decode
from skipln.data.images.held_out import HeldOut, read_file
from skipln.data.images.layout import by_class, left_out
from skipln.data.present import require_photographs
from skipln.data.seeds import mixed
from skipln.errors import UserError
from skipln.system.files import locked
from skipln.system.printing import one_line

SPLITS = ("train", "val")
# ImageNet's usual moments of each channel, 0 to 255 (torchvision's reference).
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class PhotographSplit:
    """An ImageSplit of files. files: their names below `folder`, bytes [n], in one array that workers share (a million
    strings would be copied to each worker). labels: int64 [n]. resize, crop: pixels; see `read`.
    """

    folder: Path
    files: np.ndarray
    labels: np.ndarray
    resize: int
    crop: int
    flip: bool

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.crop, self.crop, 3

    def part(self, chosen: np.ndarray) -> "PhotographSplit":
        return replace(self, files=self.files[chosen], labels=self.labels[chosen])

    def read(self, chosen: np.ndarray, draw: tuple[int, int] | None) -> Tensor:
        """Return uint8 [B, 3, crop, crop].

        With `draw`, for training: a window of .08 to 1 of the area and an aspect ratio of 3/4 to 4/3 is scaled to the
        crop and flipped by chance (Szegedy et al. 2015); (*draw, index) alone decides. Without it, the shorter side is
        scaled to `resize` and the middle is taken. Raises UserError for a file that cannot be read.
        """
        return torch.stack([self._one(int(i), draw) for i in chosen])

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return MEAN, STD

    def digest_into(self, digest: "hashlib._Hash") -> None:
        """Use the files' names: reading their content would take an hour before every run."""
        digest.update(b"\0".join(self.files.tolist()))
        digest.update(self.labels.data)

    def _one(self, i: int, draw: tuple[int, int] | None) -> Tensor:
        from torchvision.transforms.v2 import functional as F

        path = self.folder / os.fsdecode(self.files[i])
        try:
            image = decode(path.read_bytes(), str(path))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        if draw is None:
            return F.pil_to_tensor(F.center_crop(F.resize(image, [self.resize]), [self.crop]))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(mixed(*draw, i))
            return F.pil_to_tensor(self._augment(image))

    @cached_property
    def _augment(self) -> torch.nn.Module:
        from torchvision.transforms import v2

        return v2.Compose([v2.RandomResizedCrop(self.crop), v2.RandomHorizontalFlip(0.5 if self.flip else 0.0)])


def load_photographs(
    folder: Path, resize: int, crop: int, flip: bool
) -> tuple[list[str], PhotographSplit, PhotographSplit]:
    """Return the class names in alphabetical order, the images of `train/<class>/`, and `val/<class>/` as test set.

    For ImageNet the official archives suffice: they are checked and unpacked beside themselves, once. Raises UserError
    when neither is there, an archive is damaged, or a class has no image in one of the splits.
    """
    found = _files(folder, SPLITS)
    classes = sorted(found["train"])
    train, test = (
        PhotographSplit(
            folder,
            np.array([os.fsencode(name) for cls in classes for name in found[split][cls]]),
            np.repeat(np.arange(len(classes)), [len(found[split][cls]) for cls in classes]),
            resize,
            crop,
            flip,
        )
        for split in SPLITS
    )
    return classes, train, test


def held_out_photographs(folder: Path) -> HeldOut:
    """Return the images below `val/`, which is all that the folder needs to contain. Raises UserError as above."""
    return HeldOut.of_files(_files(folder, ("val",))["val"], f"{folder}/", partial(read_file, folder))


def _files(folder: Path, splits: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Return the names of the files of each split and class, and say in one line what is left out."""
    require_photographs(folder)
    for split in splits:
        if not (folder / split).is_dir():
            _unpack(folder, split)
    names = list(_names(folder, splits))
    found = by_class(folder, names, splits)
    if others := left_out(names, splits):
        print(f"note: {folder}: left out: {one_line(others)}", file=sys.stderr)
    return found


def _names(folder: Path, splits: Sequence[str]) -> Iterator[str]:
    """Name the class folders and their contents, without a system call for each of a million files."""
    for split in splits:
        with os.scandir(folder / split) as entries:
            classes = [entry.name for entry in entries if entry.is_dir()]
        for cls in classes:
            yield f"{split}/{cls}/"
            with os.scandir(folder / split / cls) as entries:
                yield from (f"{split}/{cls}/{entry.name}{'/' if entry.is_dir() else ''}" for entry in entries)


def _unpack(folder: Path, split: str) -> None:
    """Make `<split>/<class>/` from ImageNet's archive; torchvision knows its checksum and the classes of val."""
    from torchvision.datasets import imagenet

    archive = folder / imagenet.ARCHIVE_META[split][0]
    if not archive.is_file():
        raise UserError(f"{folder}: neither {split}/ nor {archive.name} is there; put one of them there")
    unpack = {"train": imagenet.parse_train_archive, "val": imagenet.parse_val_archive}[split]
    with locked(folder / ".lock"):
        if (folder / split).is_dir():  # another process, which held the lock, made it
            return
        print(f"checking and unpacking {archive} (ImageNet's takes about an hour)", file=sys.stderr)
        try:
            if split == "val" and not (folder / imagenet.META_FILE).is_file():
                imagenet.parse_devkit_archive(folder)
            with atomic_folder(folder / split) as work:
                unpack(folder, folder=work.name)
        except (OSError, RuntimeError, EOFError, ValueError, tarfile.TarError) as error:
            raise UserError(f"{archive}: cannot be unpacked: {str(error).splitlines()[0]}") from error
