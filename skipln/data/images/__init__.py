"""Images for classification: where they come from, batches, and augmentation on whole batches."""

from skipln.data.images.batches import ImageBatches
from skipln.data.images.dataset import ImageData, Split

__all__ = ["ImageBatches", "ImageData", "Split"]
