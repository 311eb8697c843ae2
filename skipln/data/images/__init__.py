"""Images for classification: where they come from, how they are batched, and how whole batches are augmented."""

from skipln.data.images.batches import ImageBatches
from skipln.data.images.dataset import ImageData, ImageSplit, Split

__all__ = ["ImageBatches", "ImageData", "ImageSplit", "Split"]
