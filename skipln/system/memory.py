"""Tell an allocation that failed from other errors."""

_SAID = (
    "can't allocate memory",  # torch's allocator on a CPU
    "Storage size calculation overflowed",  # torch, of more bytes than a 64-bit integer counts
    "CUDA error: out of memory",  # the driver's
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory could not be had: Python's error, numpy's, or torch's on a CPU or a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, without loading torch
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)
