"""Data sets and their preparation."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from skipln.configuration.schema.node import Node

MOST_PIECES = 10_000_000  # more than any vocabulary has, and sentencepiece searches long before it refuses far more

Pieces = Annotated[int, Field(ge=1, le=MOST_PIECES)]


class Catalogs(Node):
    kind: Literal["catalogs"]
    name: str
    """Name of the data."""
    source: Literal["en"]
    """Source language."""
    target: Literal["de"]
    """Target language."""
    vocabulary: Pieces
    """Number of joint BPE pieces."""
    max_length: PositiveInt
    """Most tokens on a side; longer training pairs are left out."""


class ParallelText(Node):
    kind: Literal["parallel_text"]
    name: str
    """The data's name, which stands for its path in the run's identity."""
    dir: str
    """Folder of the files."""
    source: str
    """Source language: the files' last suffix."""
    target: str
    """Target language: the files' last suffix."""
    train: str
    """Name of the training files before the suffix."""
    valid: str
    """Name of the validation files before the suffix."""
    test: str
    """Name of the test files before the suffix."""
    vocabulary: Pieces
    """Number of sentencepiece pieces, or of BPE merges of encoded text."""
    max_length: PositiveInt
    """Most tokens on a side; longer training pairs are left out."""
    encoding: Literal["sentencepiece", "bpe", "moses_bpe"] = "sentencepiece"
    """sentencepiece: for plain text; bpe, moses_bpe: for text from scripts/prepare_*.py."""


class Images(Node):
    """The keys of every image set: how many training images are held out, and how images are augmented."""

    name: str
    """The data's name, which stands for its path in the run's identity."""
    valid: NonNegativeInt
    """Training images held out for validation; 0: none, monitor the test set (it chooses nothing)."""
    crop: NonNegativeInt
    """Pixels on each side; 0: the image's own size."""
    pad: NonNegativeInt
    """Black pixels around a training image before its random crop."""
    flip: bool
    """Mirror training images left to right at random."""


class Digits(Images):
    kind: Literal["digits"]


class PublishedImages(Images):
    kind: Literal["published_images"]
    dataset: Literal["cifar10", "cifar100", "fashion_mnist"]
    """torchvision's data set."""
    dir: str
    """Folder of torchvision's files, which are downloaded if missing, or of Fashion-MNIST's four files."""


class ClassFolders(Images):
    kind: Literal["class_folders"]
    dir: str
    """Folder or tar with train/<class>/ and test/<class>/."""
    size: NonNegativeInt
    """Pixels of the shorter side after scaling, before a square centre crop; 0: all images have one size."""


class Photographs(Node):
    """Images that are decoded one by one, every time they are read."""

    kind: Literal["photographs"]
    name: str
    """The data's name, which stands for its path in the run's identity."""
    dir: str
    """Folder with train/<class>/ and val/<class>/, or with ImageNet's tars."""
    valid: NonNegativeInt
    """Training images held out for validation; 0: none, monitor val (it chooses nothing)."""
    resize: PositiveInt
    """Pixels of the shorter side in the test, before the crop."""
    crop: PositiveInt
    """Pixels on each side of the net's input."""
    flip: bool
    """Mirror training images left to right at random."""
