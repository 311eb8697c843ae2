"""An image file's bytes to its pixels, whatever they hold."""

import io

from PIL import Image, UnidentifiedImageError

from skipln.errors import UserError

MAX_PIXELS = 64 << 20  # more is no photograph but a mistake or a bomb


def fitted(rgb: Image.Image, height: int, width: int) -> Image.Image:
    """The middle of the image, scaled just so far that it fills `height` × `width`; one of that size is as it was."""
    if rgb.size == (width, height):
        return rgb
    scale = max(height / rgb.height, width / rgb.width)
    across, down = max(width, round(rgb.width * scale)), max(height, round(rgb.height * scale))
    left, top = (across - width) // 2, (down - height) // 2
    return rgb.resize((across, down), Image.Resampling.BICUBIC).crop((left, top, left + width, top + height))


def decode(content: bytes, name: str) -> Image.Image:
    """The whole image in RGB. Raises UserError, one line that starts with `name`, for what is none or a part of one."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f"{name} has {image.width} × {image.height} pixels, more than a photograph")
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{name} is truncated or no image; remove it or copy it again") from error
