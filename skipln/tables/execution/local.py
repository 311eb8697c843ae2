"""The local launcher: runs are processes on this machine, as many at once as its cores have room for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial

from skipln.runs.reading import last_line, read_state
from skipln.system.files import disk_errors
from skipln.system.processes import end_with_parent, interrupting
from skipln.tables.cells import Cell
from skipln.tables.execution.launching import Failure, bar_of, say, show

TRAINER = (sys.executable, "-m", "skipln.train")
_INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM)
_POLL = 0.3  # seconds between two looks at the runs


class Local:
    """Runs cells; each writes to log.txt in its folder, and one bar shows the table's progress.

    trainer: the command in front of a run's overrides. threads: CPU threads per run; 0 means all, one run at a time.
    Small models, each on one thread, do not wait for one another as the threads of one model do.
    """

    def __init__(self, trainer: Sequence[str] = TRAINER, threads: int = 0) -> None:
        self.trainer, self.threads = tuple(trainer), threads
        self.at_once = max(1, len(os.sched_getaffinity(0)) // threads) if threads else 1

    def command(self, cell: Cell) -> list[str]:
        return [*self.trainer, *cell.overrides, *([f"compute.threads={self.threads}"] if self.threads else [])]

    def __call__(self, cells: Sequence[Cell], total: int) -> list[Failure]:
        """Run every cell; a failure does not stop the others. Raises KeyboardInterrupt once all have saved."""
        failures: list[Failure] = []
        waiting, running = list(cells), dict[subprocess.Popen, Cell]()
        before = total - len(cells)
        with bar_of(cells) as bar, interrupting():
            try:
                while waiting or running:
                    while waiting and len(running) < self.at_once:
                        cell = waiting.pop(0)
                        place = before + len(cells) - len(waiting)
                        bar.write(f"[{place}/{total}] {cell.describe()}", sys.stderr)
                        running[self._start(cell)] = cell
                    time.sleep(_POLL)
                    for process in [process for process in running if process.poll() is not None]:
                        failures += _collect(process, running.pop(process))
                    show(bar, cells)
            except KeyboardInterrupt:
                _stop(list(running))
                raise
        return failures

    def _start(self, cell: Cell) -> subprocess.Popen:
        """Start a run in its own session, so that a Ctrl-C reaches it once, through us; it ends when we do."""
        with disk_errors(cell.folder):
            cell.folder.mkdir(parents=True, exist_ok=True)
            log = (cell.folder / "log.txt").open("ab")
        with log:
            return subprocess.Popen(
                self.command(cell),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, parent=os.getpid()),
            )


def _collect(process: subprocess.Popen, cell: Cell) -> list[Failure]:
    """The failure of a run, if it ended without a result."""
    state = read_state(cell.folder)
    if state.result is not None:
        return []
    return [Failure(cell, _why(process.returncode, last_line(cell.folder), state.message))]


def _why(code: int, last_line: str, message: str) -> str:
    if code in _INTERRUPTED:
        return "it was interrupted; the same command continues it"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    if code == 0:
        return f"it ended without a readable result {message}".rstrip()
    return last_line.removeprefix("error: ") or message or f"exit status {code}"


def _stop(running: list[subprocess.Popen]) -> None:
    """Let every run save its state and end; a second Ctrl-C kills them."""
    say("\nstopping: each run saves its state (press Ctrl-C again to stop at once)")
    for process in running:
        process.terminate()
    try:
        for process in running:
            process.wait()
    except KeyboardInterrupt:
        for process in running:
            process.kill()
            process.wait()
        raise
