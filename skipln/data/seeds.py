"""Seeds that are a function of what is drawn for, so that nothing drawn depends on the past."""

import numpy as np


def mixed(*key: int) -> int:
    """64 bits that depend on every number of `key`, the same on every machine."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
