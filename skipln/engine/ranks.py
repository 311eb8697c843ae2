"""The ranks of a run wait for rank 0, which alone validates, tests and records, and end after it.

They ask a key of the process group's store now and then: a collective would give up after minutes, and no signal would
be heard meanwhile. The store lives in rank 0 or in its launcher, so that asking fails once rank 0 has died.
"""

import atexit
import gc
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist
from lightning_fabric import Fabric

from skipln.errors import UserError

POLL = 0.05  # seconds between two questions
GOODBYE = 60.0  # seconds that rank 0 keeps the store for ranks that have not left
_LOST = ("closed by peer", "reset by peer", "broken pipe", "connection refused", "socket closed")
_runs = itertools.count()  # of this process; each has keys of its own


class Ranks:
    """All ranks of one run, in a `with` block that they leave together unless one fails."""

    def __init__(self, fabric: Fabric) -> None:
        self.first, self.others = fabric.is_global_zero, fabric.world_size - 1
        self.waits = 0
        if self.others:
            store = dist.distributed_c10d._get_default_store()
            self.store = dist.PrefixStore(f"skipln/{next(_runs)}", store)
            atexit.register(_destroy)

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            self.wait_for_first()
            self._say_goodbye()

    def wait_for_first(self) -> None:
        """Rank 0 passes, the others wait until it has. Raises UserError when it is gone."""
        if not self.others:
            return
        self.waits += 1
        key = f"passed {self.waits}"
        if self.first:
            self.store.set(key, "")
            return
        with lost_ranks_told():
            while not self.store.check([key]):
                time.sleep(POLL)

    def _say_goodbye(self) -> None:
        """Rank 0 goes last, as the store may be its own; not for ever, as a rank may have died."""
        if not self.others:
            return
        if not self.first:
            self.store.add("left", 1)
            return
        until = time.monotonic() + GOODBYE
        while self.store.add("left", 0) < self.others and time.monotonic() < until:
            time.sleep(POLL)


@contextmanager
def lost_ranks_told() -> Iterator[None]:
    """What a rank's death does to the others, in one line (`UserError`)."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistNetworkError) or any(sign in str(error).lower() for sign in _LOST):
            raise UserError("another process of this run has ended; what it said tells why") from error
        raise


def _destroy() -> None:
    """End the group's threads while there is an interpreter: one that gives up a tensor after that ends the process by
    SIGABRT."""
    gc.collect()  # what still holds the group holds its threads
    if dist.is_initialized():
        dist.destroy_process_group()
