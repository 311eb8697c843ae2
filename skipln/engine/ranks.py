"""The ranks of a run wait for rank 0, which alone validates, tests and records; it ends last.

They poll a key in the process group's store. A collective would give up after minutes and would hear no signal
meanwhile. The store lives in rank 0 or in its launcher, so polling fails once rank 0 has died.
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

POLL = 0.05  # seconds between two polls
GOODBYE = 60.0  # seconds for which rank 0 keeps the store for ranks that have not left
_LOST = ("closed by peer", "reset by peer", "broken pipe", "connection refused", "socket closed")
_runs = itertools.count()  # numbers the runs of this process, each of which has its own keys


class Ranks:
    """All ranks of one run; they leave its `with` block together unless one fails."""

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
        """Wait until rank 0 gets here; rank 0 itself does not wait. Raises UserError if rank 0 is gone."""
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
        """Let rank 0 leave last, since the store may be its own, but not wait forever, since a rank may have died."""
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
    """Raise UserError, one line, for the errors that another rank's death causes here."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistNetworkError) or any(sign in str(error).lower() for sign in _LOST):
            raise UserError("another process of this run has ended; its own messages say why") from error
        raise


def _destroy() -> None:
    """End the group's threads while the interpreter lives: a thread that frees a tensor later aborts the process."""
    gc.collect()  # objects that still hold the group keep its threads alive
    if dist.is_initialized():
        dist.destroy_process_group()
