"""Seeds computed from what they are for, so that no random number depends on those drawn before it."""

import numpy as np


def mixed(*key: int) -> int:
    """Mix the numbers of `key` to 64 bits that depend on each of them and are the same on every machine."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
