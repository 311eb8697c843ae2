"""A tiny set of class folders of our own, with two classes that differ in colour."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COUNTS = {"train": 6, "test": 3}


def write_image(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (8, 8), seed: int = 0) -> None:
    """Write an image of one colour with a little noise. `size`: (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-20, 20, (size[1], size[0], 3))
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    for split, count in COUNTS.items():
        for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
            for i in range(count):
                write_image(tmp_path / "pictures" / split / name / f"{i:04}.png", colour, seed=i)
    return tmp_path / "pictures"


@pytest.fixture
def archive(class_folders: Path) -> Path:
    path = class_folders.with_suffix(".tar")
    with tarfile.open(path, "w") as tar:
        tar.add(class_folders, arcname=".")
    return path


def jpeg(size: int = 32) -> bytes:
    """Return a noisy JPEG, of which a half cannot be decoded."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "jpeg")
    return buffer.getvalue()
