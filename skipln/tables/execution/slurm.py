"""The SLURM launcher: submitit submits every run as a task of one job array, and the run's folder shows its state."""

import runpy
import sys
import time
import uuid
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from skipln.configuration.schema import SlurmLauncher
from skipln.configuration.submission import submitting
from skipln.errors import UserError
from skipln.runs.queue import Queue, Ticket, read_ticket
from skipln.runs.reading import last_line, read_state
from skipln.system.files import locked
from skipln.tables.cells import Cell
from skipln.tables.execution.launching import Failure, bar_of, say, show
from skipln.tables.execution.local import TRAINER

SHARED = {"timeout_min", "cpus_per_task", "mem_gb", "nodes", "tasks_per_node"}  # submitit's cluster-independent names
_POLL = 1.0  # seconds between two looks at the run folders
_PATIENCE = 30.0  # seconds, at most, between two questions to SLURM's controller


class Task:
    """A run as submitit starts it, in the process that gets the job's signals. Told to stop, it is queued again."""

    def __init__(self, command: Sequence[str]) -> None:
        """command: an interpreter, "-m", a module, its arguments."""
        self.command = list(command)

    def __call__(self) -> None:
        _, _, module, *_ = self.command
        sys.argv = self.command[2:]
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Slurm:
    """Submits cells and waits for them. A run that is already in the queue is not submitted again.

    trainer: the command in front of a run's overrides. A run has as many CPU threads as its job has cores.
    """

    def __init__(self, trainer: Sequence[str] = TRAINER, threads: int = 0) -> None:
        self.trainer = tuple(trainer)

    def command(self, cell: Cell) -> list[str]:
        return [*self.trainer, *cell.overrides, f"compute.threads={_asked(cell).cpus_per_task}"]

    def __call__(self, cells: Sequence[Cell], total: int) -> list[Failure]:
        """Submit the runs that are not in the queue, then wait until every run has a result or its job has ended.

        Raises UserError when SLURM refuses, and KeyboardInterrupt when stopped; the jobs then stay in the queue.
        """
        with locked(cells[0].folder.parent / ".slurm" / ".lock"):  # two tables at once must not both submit a run
            queue = Queue()
            with submitting(_asked(cells[0])):  # reports a missing sbatch before a missing squeue
                if queue.problem:
                    raise UserError(queue.problem)
            fresh = [cell for cell in cells if queue.find(read_ticket(cell.folder)) is None]
            say(f"{len(fresh)} to submit, {len(cells) - len(fresh)} in the queue")
            for _, group in groupby(sorted(fresh, key=_resources), key=_resources):
                self._submit(list(group))
        try:
            return _wait(cells)
        except KeyboardInterrupt:
            names = ",".join(sorted({ticket.name for cell in cells if (ticket := read_ticket(cell.folder))}))
            say(f"\nthe jobs stay in the queue; to cancel them: scancel --name={names}")
            raise

    def _submit(self, cells: list[Cell]) -> None:
        """Submit one array of runs with the same resources. Tickets are written first: no job may be without one."""
        launcher = _asked(cells[0])
        name = f"{cells[0].table}-{uuid.uuid4().hex[:8]}"
        for i, cell in enumerate(cells):
            Ticket(name, i).write(cell.folder)
        try:
            with submitting(launcher):
                import submitit

                folder = (cells[0].folder.parent / ".slurm" / name).absolute()
                executor = submitit.AutoExecutor(folder, "slurm", slurm_max_num_timeout=launcher.max_num_timeout)
                options = launcher.model_dump(exclude={"name", "max_num_timeout"}, exclude_none=True)
                named = {key if key in SHARED else f"slurm_{key}": value for key, value in options.items()}
                executor.update_parameters(name=name, stderr_to_stdout=True, **named)
                jobs = executor.submit_array([Task(self.command(cell)) for cell in cells])
        except UserError:
            for cell in cells:
                (cell.folder / "ticket.json").unlink()
            raise
        for i, (cell, job) in enumerate(zip(cells, jobs, strict=True)):
            Ticket(name, i, job.job_id, str(job.paths.stdout)).write(cell.folder)
        say(f"submitted {len(cells)} runs as job {jobs[0].job_id.partition('_')[0]}")


def _asked(cell: Cell) -> SlurmLauncher:
    assert isinstance(cell.config.launcher, SlurmLauncher)
    return cell.config.launcher


def _resources(cell: Cell) -> str:
    return cell.config.launcher.model_dump_json()


def _wait(cells: Sequence[Cell]) -> list[Failure]:
    """Wait for the runs; return those whose jobs ended without a result. This must be seen twice, because a result file
    may arrive after its job has left the queue.
    """
    waiting, suspects = list(cells), set[str]()
    failures: list[Failure] = []
    started = asked = time.monotonic()
    with bar_of(cells) as bar:
        while waiting:
            time.sleep(_POLL)
            show(bar, cells)
            waiting = [cell for cell in waiting if read_state(cell.folder).result is None]
            now = time.monotonic()
            if now - asked < min(_PATIENCE, (now - started) / 10):
                continue
            asked, queue = now, Queue()
            over = {c.hash for c in waiting if not queue.problem and queue.find(read_ticket(c.folder)) is None}
            failures += [_failure(cell) for cell in waiting if cell.hash in over & suspects]
            waiting = [cell for cell in waiting if cell.hash not in over & suspects]
            suspects = over
    return failures


def _failure(cell: Cell) -> Failure:
    state, line = read_state(cell.folder), last_line(cell.folder).removeprefix("error: ")
    if state.state == "failed":
        return Failure(cell, state.message or line)
    return Failure(cell, f"its job ended at update {state.update}; the same command continues it: {line}")
