"""Independent pieces of work in threads of Python, because small tensors gain little from several of torch's."""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Item, Callable[[], None]], Result], items: Sequence[Item], threads: int
) -> list[Result]:
    """Return work(item, check) of every item, done by `threads` threads (1: by this one), which divide torch's threads.

    torch's operations and our kernels release Python's lock, so the threads compute at the same time. `work` has to
    call `check` often: as soon as one piece of work fails or this thread is interrupted, it raises CancelledError in
    the others, so that they end too; then the error is raised here. What torch keeps for each thread, such as its
    inference mode and autocast, `work` has to set itself.
    """
    if threads < 2:
        return [work(item, lambda: None) for item in items]
    stopping, before = Event(), torch.get_num_threads()

    def check() -> None:
        if stopping.is_set():
            raise CancelledError

    try:
        # OpenMP keeps its number of threads for each thread, but torch keeps it as the default of later ones too.
        with ThreadPoolExecutor(threads, "decoder", torch.set_num_threads, (max(1, before // threads),)) as pool:
            pieces = [pool.submit(work, item, check) for item in items]
            try:
                for piece in as_completed(pieces):
                    piece.result()
            except BaseException:
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(before)
    return [piece.result() for piece in pieces]
