"""Batches loaded ahead of time, by processes beside the one that trains."""

import atexit
import multiprocessing.util  # now, so that its exit handler runs after ours
import signal
from collections.abc import Callable, Generator, Iterable
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakSet

from skipln.errors import UserError
from skipln.system.processes import end_with_parent

AHEAD = 2  # batches of a worker that wait to be taken
_workers: WeakSet[BaseProcess] = WeakSet()


def prefetched(load: Callable[[Any], Any], keys: Iterable[Any], workers: int) -> Generator[Any, None, None]:
    """load(key) of every key, in order; where there are workers, each is AHEAD batches early.

    `load` must be a pure function: with any number of workers the same items come. They are forked, so it need not be
    picklable; what it returns must be. They end with the iteration or its close(). Raises what `load` raises.
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
    """A function in the form of DataLoader's data sets. An error for the user goes home as it is, one line."""

    def __init__(self, load: Callable[[Any], Any]) -> None:
        self.load = load

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.load(key)
        except UserError as error:
            return error


def _start(_: int) -> None:
    """In a worker: a signal to all of a job is the parent's to answer, who may still want what is loaded here.

    A parent that is killed takes its workers along, and with them its run folder's lock, which they have inherited.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL)


@atexit.register
def _end_workers() -> None:
    """Those that nobody closed: multiprocessing would ask them with SIGTERM, and wait for ever."""
    if left := [worker for worker in _workers if worker.is_alive()]:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would complain of their end
        for worker in left:
            worker.kill()
