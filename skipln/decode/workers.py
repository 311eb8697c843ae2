"""Independent batches of work on single-thread processes, because small tensors gain little from more threads."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

import torch

from skipln.system.processes import end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")
_work: Callable[[Any], Any]  # what this worker does; a fork inherits it, and the model it holds, without a copy


def forked(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """Yield work(item) for every item, as each is done, from `workers` forks of this process (1: this process itself).

    A fork starts with a copy of the parent's memory and has one thread and no CUDA. Its exceptions are raised here.
    """
    if workers < 2:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin, (work,)) as pool:
        results = [pool.submit(_do, item) for item in items]
        try:
            for result in as_completed(results):
                yield result.result()
        finally:  # on interruption, finish what has begun and start nothing more
            pool.shutdown(cancel_futures=True)


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    end_with_parent(signal.SIGKILL)  # a worker shares the run folder's lock and must not outlive the parent with it
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the run's own handlers are for the parent only
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C


def _do(item: Any) -> Any:
    return _work(item)
