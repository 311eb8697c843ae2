"""Images that are too large say so; they are not decoded."""

import struct
import zlib

import pytest

from skipln.data.images.decoding import MAX_PIXELS, decode
from skipln.errors import UserError


def png(width: int, height: int) -> bytes:
    """The start of a PNG of this size, with no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [header, b"IDAT"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


@pytest.mark.parametrize(
    ("side", "said"),
    [
        (9_000, "a.png has 9000 × 9000 pixels, more than a photograph has"),
        (20_000, "a.png has far more pixels than a photograph has"),  # Pillow refuses it first
        (100, "a.png is truncated or not an image; remove it or copy it again"),
    ],
)
def test_an_image_that_is_too_large_is_not_called_truncated(side: int, said: str) -> None:
    assert (side * side > MAX_PIXELS) == ("photograph" in said)
    with pytest.raises(UserError) as raised:
        decode(png(side, side), "a.png")
    assert str(raised.value) == said
