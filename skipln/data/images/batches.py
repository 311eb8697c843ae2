"""Batches of images; they depend on the seed and the epoch alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skipln.data.images.dataset import ImageSplit
from skipln.errors import UserError


@dataclass(frozen=True)
class ImageBatch:
    """images: uint8 [B, C, H, W]. labels: int64 [B]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ImageBatch":
        """The batch on a device."""
        return ImageBatch(*(t.to(device, non_blocking=non_blocking) for t in (self.images, self.labels)))


class ImageBatches(Sequence[ImageBatch]):
    """The batches of one epoch, each read when it is asked for.

    With an `epoch`, (seed, epoch) shuffles the images, and those that do not fill a last batch are left out. Without
    one, all images come in order, and the last batch may be smaller.
    Raises UserError when there are fewer images than one batch takes.
    """

    def __init__(self, split: ImageSplit, size: int, seed: int = 0, epoch: int | None = None) -> None:
        self.split, self.size = split, size
        self.draw = None if epoch is None else (seed, epoch)
        if epoch is None:
            self.order, self.batches = np.arange(len(split)), -(-len(split) // size)
            return
        if size > len(split):
            raise UserError(
                f"training.batch={size}, but there are {len(split)} training images: choose a smaller batch"
            )
        self.order, self.batches = np.random.default_rng([seed, epoch]).permutation(len(split)), len(split) // size

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, k: Any) -> Any:
        if not 0 <= k < self.batches:
            raise IndexError(k)
        chosen = self.order[k * self.size : (k + 1) * self.size]
        return ImageBatch(self.split.read(chosen, self.draw), torch.from_numpy(self.split.labels[chosen]))
