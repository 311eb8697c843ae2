"""CIFAR-10, CIFAR-100 and Fashion-MNIST; torchvision downloads them and checks their checksums."""

from pathlib import Path
from typing import Any

import numpy as np

from skipln.data.images.dataset import Split
from skipln.errors import UserError
from skipln.system.files import locked

CLASSES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "fashion_mnist": "FashionMNIST"}


def load_published(dataset: str, folder: Path) -> tuple[list[str], Split, Split]:
    """Return the class names, training images and test images of `dataset` in `folder`; download what is missing.

    Raises UserError when the data cannot be found or downloaded, or a file is damaged.
    """
    import torchvision.datasets

    source = getattr(torchvision.datasets, CLASSES[dataset])
    try:
        with locked(folder / ".lock"):
            train, test = (_open(source, folder, train=part) for part in (True, False))
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{CLASSES[dataset]} is not in {folder} and cannot be fetched ({reason[0]}): "
            "give the folder that contains torchvision's files as data.dir=…"
        ) from error
    return [str(name) for name in train.classes], _split(train), _split(test)


def _open(source: Any, folder: Path, train: bool) -> Any:
    """Open the files in `folder`, which torchvision checks; download them only if that fails."""
    try:
        return source(str(folder), train=train, download=False)
    except RuntimeError:  # "Dataset not found or corrupted"
        return source(str(folder), train=train, download=True)


def _split(found: Any) -> Split:
    images = np.asarray(found.data, dtype=np.uint8)
    return Split(images if images.ndim == 4 else images[..., None], np.asarray(found.targets, dtype=np.int64))
