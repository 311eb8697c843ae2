"""Map a function over many items in several processes, in order, with only a few items under way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from skipln.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2  # items that may wait for each worker
_function: Callable[[Any], Any]


def ordered_map(make: Callable[[], Callable[[Item], Result]], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield `make()(item)` for every item. Each process calls `make` once and keeps what it returns and remembers.

    `Pool.imap` would read all `items` at once; here memory does not grow with their number. workers=1: no processes.
    """
    if workers == 1:
        yield from map(make(), items)
        return
    waiting: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(workers, initializer=_start, initargs=(make,)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(_call, item))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UserError("a worker process was killed (out of memory?); start again with fewer workers") from error
        finally:
            for future in waiting:
                future.cancel()


def _start(make: Callable[[], Callable]) -> None:
    global _function
    _function = make()


def _call(item: Any) -> Any:
    return _function(item)
