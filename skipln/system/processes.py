"""Make processes end when they are told to."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)  # signals that ask a process to stop


@contextmanager
def interrupting() -> Iterator[None]:
    """Treat every signal of ASKED as Ctrl-C, unless it is handled or ignored. No effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    mine = [number for number in ASKED if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)]
    before = {number: signal.signal(number, signal.default_int_handler) for number in mine}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def somebodys(handler: Any) -> bool:
    """Whether the handler was installed by somebody, and is not the system's or Python's own."""
    return callable(handler) and handler is not signal.default_int_handler


def end_with_parent(by: signal.Signals = signal.SIGTERM, parent: int | None = None) -> None:
    """In a child: ask Linux for a signal when the parent dies, so that a killed parent leaves no process behind.

    parent: its process id (None: multiprocessing knows it). If it died before we asked, we send the signal ourselves.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, by)  # PR_SET_PDEATHSIG
        if parent is None:
            above = multiprocessing.parent_process()
            parent = above.pid if above else os.getppid()
        if os.getppid() != parent:
            os.kill(os.getpid(), by)
