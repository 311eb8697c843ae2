"""Bring any image into the form that a run's net expects."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydantic import TypeAdapter
from torch import Tensor

from skipln.data.images.augmentation import centre_crop, normalise
from skipln.data.images.dataset import ImageData
from skipln.data.images.decoding import decode, fitted
from skipln.errors import UserError
from skipln.system.files import atomic_write
from skipln.system.strict_json import read_json

FILE = "images.json"


@dataclass(frozen=True)
class ImageInputs:
    """What a trained net needs to know of its training set: classes, channels' moments (0 to 255) and image size.

    size: height and width before the centre crop. resize: the shorter side to which photographs are scaled first; 0
    for a training set of one size, to which any other image is scaled and cropped.
    """

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int]
    crop: tuple[int, int]
    resize: int = 0

    @classmethod
    def of(cls, data: ImageData, crop: int, resize: int = 0) -> "ImageInputs":
        """Take them from prepared data. crop: the side of the square that the net is given; 0: the whole image."""
        return cls(data.classes, data.mean, data.std, data.size, (crop, crop) if crop else data.size, resize)

    @property
    def channels(self) -> int:
        return len(self.mean)

    def save(self, folder: Path) -> None:
        with atomic_write(folder / FILE, "w") as file:
            json.dump(asdict(self), file, ensure_ascii=False)

    @classmethod
    def load(cls, folder: Path) -> "ImageInputs":
        """Read what `save` wrote. Raises UserError when the file is missing or damaged."""
        try:
            return TypeAdapter(cls).validate_python(read_json(folder / FILE))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{folder / FILE}: missing or damaged ({type(error).__name__}); train the run again"
            ) from error

    def read(self, images: Sequence[Path | str | Image.Image | np.ndarray]) -> Tensor:
        """Return uint8 [B, C, H, W] from files, PIL images, or uint8 arrays [height, width, channels].

        Raises UserError, one line that starts with the file's name or the image's number, if one is not an image.
        """
        return torch.stack([self._one(image, f"image {number}") for number, image in enumerate(images, 1)])

    def normalised(self, images: Tensor) -> Tensor:
        """Crop and normalise uint8 [B, C, H, W] to what the net is given."""
        images = normalise(centre_crop(images, self.crop), self.mean, self.std)
        return images.contiguous(memory_format=torch.channels_last)

    def _one(self, image: Path | str | Image.Image | np.ndarray, name: str) -> Tensor:
        if isinstance(image, np.ndarray):
            return self._pixels(_of_array(image, name))
        if isinstance(image, Image.Image):
            return self._pixels(image.convert("RGB"))
        try:
            content = Path(image).read_bytes()
        except OSError as error:
            raise UserError(f"{image}: cannot be read ({error.strerror})") from error
        return self._pixels(decode(content, str(image)))

    def _pixels(self, rgb: Image.Image) -> Tensor:
        if self.resize:
            from torchvision.transforms.v2 import functional as F

            return F.pil_to_tensor(F.center_crop(F.resize(rgb, [self.resize]), list(self.size)))
        fit = fitted(rgb, *self.size)
        grey = self.channels == 1
        return torch.from_numpy(np.array(fit.convert("L") if grey else fit)).view(*self.size, -1).permute(2, 0, 1)


def _of_array(image: np.ndarray, name: str) -> Image.Image:
    colours = image.shape[2:] in ((), (1,), (3,))
    if image.dtype != np.uint8 or image.ndim < 2 or not image.size or not colours:
        raise UserError(f"{name}: an array of {image.dtype}, {image.shape}; give uint8 [height, width, 1 or 3]")
    return Image.fromarray(image.squeeze(2) if image.ndim == 3 and image.shape[2] == 1 else image).convert("RGB")
