"""Work that is independent, batch by batch, on one-thread processes: small tensors gain little from more threads."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

import torch

from skipln.system.processes import end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")
_work: Callable[[Any], Any]  # what this worker does; a fork inherits it, with the model it holds, without a copy


def forked(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """work(item) of every item, in the order they are done, on `workers` forks of this process (1: in this one).

    A fork has the parent's memory as it was, one thread, and no CUDA. What it raises is raised here.
    """
    if workers < 2:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin, (work,)) as pool:
        results = [pool.submit(_do, item) for item in items]
        try:
            for result in as_completed(results):
                yield result.result()
        finally:  # when it is interrupted: what has begun is finished, no more
            pool.shutdown(cancel_futures=True)


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    end_with_parent(signal.SIGKILL)  # a worker shares the run folder's lock and must not hold it longer
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the run's own handlers are not theirs
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C


def _do(item: Any) -> Any:
    return _work(item)
