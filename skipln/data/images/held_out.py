"""Labelled images of any size, as they are given, on which a trained net is tested."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from skipln.data.images.dataset import Split
from skipln.data.images.decoding import decode
from skipln.errors import UserError

Load = Callable[[], Image.Image | np.ndarray]


@dataclass(frozen=True)
class HeldOut:
    """images: functions that load one image each, uint8 [height, width, 1 or 3] or PIL's. labels: int64 [n], places in
    `classes`."""

    classes: list[str]
    images: Sequence[Load]
    labels: np.ndarray

    @classmethod
    def of_arrays(cls, classes: Sequence[str], split: Split) -> "HeldOut":
        return cls([*classes], [partial(split.images.__getitem__, i) for i in range(len(split))], split.labels)

    @classmethod
    def of_files(cls, files: dict[str, list[str]], named: str, read: Callable[[str], bytes]) -> "HeldOut":
        """Take the files of each class. named: what an error line puts before a file's name. read: the bytes of one."""
        classes = sorted(files)
        listed = [(name, label) for label, of in enumerate(classes) for name in files[of]]
        images = [partial(_decoded, read, name, f"{named}{name}") for name, _ in listed]
        return cls(classes, images, np.array([label for _, label in listed], np.int64))


def read_file(folder: Path, name: str) -> bytes:
    """Return the content of a file below `folder`. Raises UserError if it cannot be read."""
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise UserError(f"{folder / name}: cannot be read ({error.strerror})") from error


def _decoded(read: Callable[[str], bytes], name: str, shown: str) -> Image.Image:
    return decode(read(name), shown)
