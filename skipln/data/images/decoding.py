"""Decode the bytes of image files, whatever they contain."""

import io

import numpy as np
from PIL import Image, ImageOps

from skipln.errors import UserError

MAX_PIXELS = 64 << 20  # a larger image is a mistake or a decompression bomb
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


def fitted(rgb: Image.Image, height: int, width: int) -> Image.Image:
    """Scale the image until it just covers `height` × `width` and cut out the middle. One of that size is unchanged."""
    if rgb.size == (width, height):
        return rgb
    scale = max(height / rgb.height, width / rgb.width)
    across, down = max(width, round(rgb.width * scale)), max(height, round(rgb.height * scale))
    left, top = (across - width) // 2, (down - height) // 2
    return rgb.resize((across, down), Image.Resampling.BICUBIC).crop((left, top, left + width, top + height))


def decode(content: bytes, name: str) -> Image.Image:
    """Decode an image to RGB, turn it upright as its EXIF data say, and scale 16-bit grey to 8 bits.

    Raises UserError, one line that starts with `name`, when `content` is not a whole image, or has 32-bit or
    floating-point pixels, whose range is not known.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f"{name} has {image.width} × {image.height} pixels, more than a photograph has")
            return ImageOps.exif_transpose(_eight_bits(image, name)).convert("RGB")
    except UserError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, far above ours, is met before the size is known
        raise UserError(f"{name} has far more pixels than a photograph has") from error
    except Exception as error:  # each of Pillow's formats raises its own kinds of error
        raise UserError(f"{name} is truncated or not an image; remove it or copy it again") from error


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format == "PNG"):  # PNG's mode "I" has 16 bits
        grey = Image.fromarray((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8))
        grey.info, grey.getexif()[0x0112] = image.info, image.getexif().get(0x0112, 1)
        return grey
    if image.mode in ("I", "F"):
        raise UserError(f"{name} has 32-bit pixels, whose range is not known; save it with 8 or 16 bits")
    return image
