"""Load batches ahead of time in other processes than the one that trains."""

import atexit
import multiprocessing.util  # imported first, so that its exit handler runs after ours
import signal
from collections.abc import Callable, Generator, Iterable
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakSet

from skipln.errors import UserError
from skipln.system.processes import end_with_parent

AHEAD = 2  # batches that each worker keeps ready
_workers: WeakSet[BaseProcess] = WeakSet()


def prefetched(load: Callable[[Any], Any], keys: Iterable[Any], workers: int) -> Generator[Any, None, None]:
    """Yield load(key) for every key, in order; each worker, if there are any, loads AHEAD batches in advance.

    `load` must be a pure function, so that any number of workers gives the same items. Workers are forked, so `load`
    need not be picklable, but what it returns must be. They end when the iteration ends or is closed. Raises what
    `load` raises.
    """
    if not workers:
        yield from map(load, keys)
        return
    import torch
    from torch.utils.data import DataLoader

    loader: DataLoader = DataLoader(
        _Loading(load),  # type: ignore[arg-type]
        sampler=keys,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=AHEAD,
        multiprocessing_context=multiprocessing.get_context("fork"),
        worker_init_fn=_start,
        collate_fn=lambda item: item,
        generator=torch.Generator(),  # not the one that dropout is drawn from
    )
    others = set(multiprocessing.active_children())
    items = iter(loader)
    _workers.update(set(multiprocessing.active_children()) - others)
    for item in items:
        if isinstance(item, UserError):
            raise item
        yield item


class _Loading:
    """A function in the form of DataLoader's data sets. It returns a UserError, so that it stays one line."""

    def __init__(self, load: Callable[[Any], Any]) -> None:
        self.load = load

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.load(key)
        except UserError as error:
            return error


def _start(_: int) -> None:
    """Ignore signals in a worker: the parent answers those sent to the whole job, and may still want what is loaded.

    Workers end when their parent is killed, and release its run folder's lock, which they have inherited.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL)


@atexit.register
def _end_workers() -> None:
    """End the workers that nobody closed: multiprocessing would send SIGTERM, which they ignore, and wait for ever."""
    if left := [worker for worker in _workers if worker.is_alive()]:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would report their deaths as errors
        for worker in left:
            worker.kill()
