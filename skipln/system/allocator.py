"""Keep freed memory for the next large tensor instead of returning it to the kernel."""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # mallopt's parameters, malloc.h of glibc


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to serve large blocks from its heap and never to trim it; return False if this is not glibc.

    By default every tensor over 128 KiB (over 32 MiB whatever the threshold) is mapped anew and page-faulted in, which
    can cost more than the arithmetic on it. Here no block is mapped at all. Call this before the first large
    allocation; the environment's MALLOC_* variables do the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 1 << 30, _TOP_PAD: 64 << 20}
    return all([mallopt(parameter, value) for parameter, value in settings.items()])
