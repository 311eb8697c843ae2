"""The order in which micro-batches reach a training."""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from skipln.data.prefetch import prefetched
from skipln.tasks.task import Task


class Stream:
    """The endless sequence of micro-batches, epoch after epoch; to resume it only its position is needed.

    Each of `world` ranks loads every world-th of an update's `count` micro-batches, from number `rank` on, and loads
    them ahead of time if the task has workers.
    """

    def __init__(
        self, task: Task, epoch: int = 0, index: int = 0, *, count: int = 1, rank: int = 0, world: int = 1
    ) -> None:
        self.number, self.index, self.count = epoch, index, count
        self.mine = [i % world == rank for i in range(count)]
        self.batches = lru_cache(maxsize=2)(task.epoch)  # the epoch of the position, and that of the batch loaded ahead
        keys = itertools.compress(self._positions(epoch, index), itertools.cycle(self.mine))
        self.loaded = prefetched(self._load, keys, task.workers)

    def take(self) -> list[Any]:
        """Return this rank's share of the next update's micro-batches."""
        for _ in range(self.count):
            if self.index >= len(self.batches(self.number)):
                self.number, self.index = self.number + 1, 0
            self.index += 1
        return list(itertools.islice(self.loaded, sum(self.mine)))

    def close(self) -> None:
        """End the workers, because they share the run folder's lock, for which another process may be waiting."""
        self.loaded.close()

    def _load(self, position: tuple[int, int]) -> Any:
        epoch, index = position
        return self.batches(epoch)[index]

    def _positions(self, epoch: int, index: int) -> Iterator[tuple[int, int]]:
        """Yield every (epoch, index) from the given one on."""
        for number in itertools.count(epoch):
            yield from ((number, i) for i in range(index if number == epoch else 0, len(self.batches(number))))

    @property
    def epoch(self) -> float:
        """The position in epochs, 1.5 in the middle of the second."""
        return self.number + self.index / len(self.batches(self.number))
