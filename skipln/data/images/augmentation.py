"""Augment whole batches of bytes on the batch's device, with random numbers from torch's generator."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.errors import UserError


def random_crop(images: Tensor, size: tuple[int, int], pad: int) -> Tensor:
    """Pad each image with `pad` black pixels on every side and cut out a window of `size` at a random place.

    Each image has a place of its own. Takes [B, C, H, W], returns [B, C, *size]. Raises UserError when the images are
    smaller than the crop.
    """
    _check(images, size)
    if pad:
        images = F.pad(images, (pad, pad, pad, pad))
    height, width = size
    windows = images.unfold(2, height, 1).unfold(3, width, 1)  # [B, C, rows, columns, height, width], a view
    row, column = (torch.randint(n, (len(images),), device=images.device) for n in windows.shape[2:4])
    return windows[torch.arange(len(images), device=images.device), :, row, column]


def random_flip(images: Tensor) -> Tensor:
    """Mirror each image of a batch [B, C, H, W] left to right with probability 1/2."""
    flip = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(flip[:, None, None, None], images.flip(3), images)


def centre_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut out the window of `size` in the middle. Raises UserError when the images are smaller than the crop."""
    _check(images, size)
    top, left = (images.size(2) - size[0]) // 2, (images.size(3) - size[1]) // 2
    return images[:, :, top : top + size[0], left : left + size[1]]


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (images − mean) / std per channel, uint8 to float32, with contiguous strides even for one channel."""
    shift, scale = (torch.tensor(values, device=images.device)[None, :, None, None] for values in (mean, std))
    return ((images.float() - shift) / scale).flatten().view(images.shape)


def _check(images: Tensor, size: tuple[int, int]) -> None:
    if images.size(2) < size[0] or images.size(3) < size[1]:
        raise UserError(
            f"images of {images.size(2)} × {images.size(3)} pixels are smaller than the crop of {size[0]} × {size[1]}: "
            "lower data.crop"
        )


def augmented(
    images: Tensor, size: tuple[int, int], pad: int, flip: bool, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Augment uint8 [B, C, H, W] for training: crop at random, flip by chance if `flip`, and normalise."""
    images = random_crop(images, size, pad)
    return normalise(random_flip(images) if flip else images, mean, std)
