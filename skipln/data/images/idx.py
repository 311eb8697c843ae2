"""idx files, the format of MNIST and Fashion-MNIST (LeCun et al. 1998), plain or compressed by gzip.

A file consists of two zero bytes, a byte for the type of the numbers (8: unsigned bytes), a byte for the number of
axes, the length of each axis as a big-endian integer of four bytes, and the numbers.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from skipln.data.images.dataset import Split
from skipln.errors import UserError

IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"
PARTS = ("train", "t10k")  # training and test set
NAMES = tuple(name.format(part) for part in PARTS for name in (IMAGES, LABELS))
LARGEST = 1 << 31  # bytes; forty times Fashion-MNIST. A few compressed megabytes could unpack to gigabytes


def find(folder: Path, name: str) -> Path | None:
    """Return the file of this name in `folder`, with or without .gz, or None if there is neither."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def load(folder: Path) -> tuple[Split, Split]:
    """Read training and test set from the four files in `folder`; images are uint8 [n, height, width, 1].

    Raises UserError, one line, for a file that is missing, cannot be read, or is truncated or damaged.
    """
    train, test = (_split(folder, part) for part in PARTS)
    return train, test


def _split(folder: Path, part: str) -> Split:
    images = _read(folder, IMAGES.format(part), axes=3)
    return Split(images[..., None], _read(folder, LABELS.format(part), axes=1).astype(np.int64))


def _read(folder: Path, name: str, axes: int) -> np.ndarray:
    path = find(folder, name)
    if path is None:
        raise UserError(f"{folder}: {name}.gz is missing; the folder must contain {', '.join(NAMES)}, plain or .gz")
    start = 4 + 4 * axes
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(start)
            if len(header) < start or header[:4] != bytes((0, 0, 8, axes)):
                raise UserError(f"{path} is not an idx file of unsigned bytes with {axes} axes; fetch it again")
            shape = struct.unpack(f">{axes}I", header[4:])
            size, lengths = math.prod(shape), " × ".join(map(str, shape))
            if size > LARGEST:
                raise UserError(f"{path} announces {lengths} bytes, more than such a set of images has; fetch it again")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:  # gzip's own errors are OSErrors
        raise UserError(f"{path} cannot be read ({error}); fetch it again") from error
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise UserError(f"{path} announces {lengths} bytes but contains {found}; fetch it again")
    return np.frombuffer(content, np.uint8).reshape(shape)
