"""The local launcher: one run after another on this machine, each a process of its own on the same terminal."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from skipln.tables.cells import Cell
from skipln.tables.launching import Failure, Watch, say
from skipln.tables.runfolder import read_state

TRAINER = (sys.executable, "-m", "skipln.train")
_INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM)


class Local:
    """Runs cells one by one. `trainer`: the command in front of a run's overrides."""

    def __init__(self, trainer: Sequence[str] = TRAINER) -> None:
        self.trainer = tuple(trainer)

    def command(self, cell: Cell) -> list[str]:
        return [*self.trainer, *cell.overrides]

    def __call__(self, cells: Sequence[Cell], watch: Watch) -> list[Failure]:
        """Run every cell; a failure does not stop the others. Raises KeyboardInterrupt once a run was interrupted."""
        failures = []
        for place, cell in enumerate(cells):
            say(watch.line(cell, cells[place:]))
            code, last_line = _run(self.command(cell))
            state = read_state(cell.folder)
            if state.result is not None:
                watch.finished(cell, state.result)
            elif code in _INTERRUPTED:
                raise KeyboardInterrupt
            else:
                failures.append(Failure(cell, _why(code, last_line, state.message)))
        return failures


def _why(code: int, last_line: str, message: str) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    if code == 0:
        return f"it ended without a result that can be read {message}".rstrip()
    return last_line.removeprefix("error: ") or message or f"exit status {code}"


def _run(command: Sequence[str]) -> tuple[int, str]:
    """Run `command` on this terminal; return its exit status and the last line it wrote on stderr.

    Ctrl-C reaches the child from the terminal, as it shares our process group: the first lets it save, the second
    kills it; both end in KeyboardInterrupt. SIGTERM to us is passed on and treated as the first Ctrl-C.
    """
    with _tee() as (stderr, tail):
        process = subprocess.Popen(command, stderr=stderr)
        os.close(stderr)
        with _terminate_to(process):
            try:
                process.wait()
            except KeyboardInterrupt:
                say("\nstopping: the run saves its state (Ctrl-C again: do not wait)")
                _wait_or_kill(process)
                raise
    return process.returncode, _last_line(bytes(tail))


def _wait_or_kill(process: subprocess.Popen) -> None:
    try:
        process.wait()
    except KeyboardInterrupt:
        process.kill()
        process.wait()
        raise


@contextmanager
def _terminate_to(process: subprocess.Popen) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        process.terminate()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _tee() -> Iterator[tuple[int, bytearray]]:
    """A descriptor for a child's stderr, and the last 4 KB written to it; all of it appears on ours as it comes.

    On a terminal it is a terminal too, of the same size, so that the child draws its progress bar.
    """
    if os.isatty(2):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, fcntl.ioctl(2, termios.TIOCGWINSZ, b"\0" * 8))
    else:
        ours, theirs = os.pipe()
    tail = bytearray()

    def copy() -> None:
        try:
            while chunk := os.read(ours, 65536):
                os.write(2, chunk)
                tail.extend(chunk)
                del tail[:-4096]
        except OSError:  # a pseudo-terminal ends so when the child is gone
            pass

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield theirs, tail
    finally:
        thread.join(timeout=2)  # a grandchild may hold the other end
        if not thread.is_alive():
            os.close(ours)


def _last_line(tail: bytes) -> str:
    """The last line that says something; an `error: …` line wins over what follows it."""
    lines = [line.strip() for line in tail.decode(errors="replace").replace("\r", "\n").split("\n") if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1]
