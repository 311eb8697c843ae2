"""CIFAR-10, CIFAR-100 and Fashion-MNIST; torchvision downloads them and checks their checksums.

Fashion-MNIST is also read from a folder of its four files, such as Debian's package dataset-fashion-mnist installs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from skipln.data.images import idx
from skipln.data.images.dataset import Split
from skipln.errors import UserError
from skipln.system.files import locked

SOURCES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "fashion_mnist": "FashionMNIST"}  # torchvision's classes
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
ELSEWHERE = {"fashion_mnist": ", or of Debian's package dataset-fashion-mnist (/usr/share/datasets/fashion-mnist),"}


def load_published(dataset: str, folder: Path) -> tuple[list[str], Split, Split]:
    """Return the class names, training images and test images of `dataset` in `folder`; download what is missing.

    Raises UserError when the data cannot be found or downloaded, or a file is damaged.
    """
    if dataset == "fashion_mnist":
        return [*FASHION], *_load_fashion_mnist(folder)
    with _ready(dataset, folder):
        train, test = (_open(_source(dataset), folder, train=part) for part in (True, False))
    return [str(name) for name in train.classes], _split(train), _split(test)


def _load_fashion_mnist(folder: Path) -> tuple[Split, Split]:
    """Read the four files from `folder` itself, or from where torchvision keeps them and downloads what is missing."""
    if any(idx.find(folder, name) for name in idx.NAMES):
        return idx.load(folder)
    raw = folder / "FashionMNIST" / "raw"
    with _ready("fashion_mnist", folder):
        if not all(idx.find(raw, name) for name in idx.NAMES):
            _source("fashion_mnist")(str(folder), download=True)
        return idx.load(raw)


def _source(dataset: str) -> Any:
    import torchvision.datasets  # takes longer than reading the images, so it is imported only if needed

    return getattr(torchvision.datasets, SOURCES[dataset])


@contextmanager
def _ready(dataset: str, folder: Path) -> Iterator[None]:
    """Let one process at a time download into `folder`, and none if it is not writable.

    Turns errors of torchvision into UserError.
    """
    fixed = folder.is_dir() and not os.access(folder, os.W_OK)
    try:
        with nullcontext() if fixed else locked(folder / ".lock"):
            yield
    except UserError:
        raise
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{SOURCES[dataset]} is not in {folder} and cannot be fetched ({reason[0]}): "
            f"give the folder that contains torchvision's files{ELSEWHERE.get(dataset, '')} as data.dir=…"
        ) from error


def _open(source: Any, folder: Path, train: bool) -> Any:
    """Open the files in `folder`, which torchvision checks; download them only if that fails."""
    try:
        return source(str(folder), train=train, download=False)
    except RuntimeError:  # "Dataset not found or corrupted"
        return source(str(folder), train=train, download=True)


def _split(found: Any) -> Split:
    images = np.asarray(found.data, dtype=np.uint8)
    return Split(images if images.ndim == 4 else images[..., None], np.asarray(found.targets, dtype=np.int64))
