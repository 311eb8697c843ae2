"""scikit-learn's digits: 1,797 handwritten digits of 8 × 8 pixels in its wheel, no download (Alpaydin 1998)."""

import numpy as np

from skipln.data.images.dataset import Split

TEST = 450  # the last ones, unshuffled, as in scikit-learn's own example


def load_digits() -> tuple[list[str], Split, Split]:
    """Class names, 1,347 training and 450 test images, uint8 [n, 8, 8, 1]: the 17 greys 0 to 16, times 15."""
    from sklearn.datasets import load_digits as load

    found = load()
    images = (found.images * 15).astype(np.uint8)[..., None]
    labels = found.target.astype(np.int64)
    return list("0123456789"), Split(images[:-TEST], labels[:-TEST]), Split(images[-TEST:], labels[-TEST:])
