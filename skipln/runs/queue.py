"""Which runs wait or run in SLURM's queue, from squeue's list and the ticket in each run's folder.

A ticket is written before its job is submitted and names the submission, so that the job of a submitter that died is
found.
"""

import getpass
import json
import subprocess
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter

from skipln.system.files import atomic_write
from skipln.system.strict_json import read_json

FIELDS = ("%j", "%K", "%A", "%i", "%t", "%r")  # name, index in the array, SLURM_JOB_ID, ARRAY_INDEX, state, reason


@dataclass(frozen=True)
class Ticket:
    """ticket.json: the run is task `index` of submission `name`; its `job` (for scancel) and `log` once known."""

    name: str
    index: int
    job: str = ""
    log: str = ""

    def write(self, folder: Path) -> None:
        with atomic_write(folder / "ticket.json", "w") as file:
            json.dump(asdict(self), file)


def read_ticket(folder: Path) -> Ticket | None:
    """Return the last submission of the run in `folder`; None if there was none or the ticket is damaged."""
    try:
        return TypeAdapter(Ticket).validate_python(read_json(folder / "ticket.json"))
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Job:
    """A job that is not over: waiting for `reason`, or running."""

    job_id: str  # SLURM_JOB_ID
    number: str  # as scancel takes it; ARRAY_INDEX in an array
    running: bool
    reason: str


class Queue:
    """The user's jobs that are not over, at the moment when they are first needed and squeue is run."""

    @cached_property
    def problem(self) -> str:
        """Why nothing is known about the jobs; empty if squeue answered."""
        return self._asked[1]

    def find(self, ticket: Ticket | None) -> Job | None:
        """Return the job of a ticket; None if it is over, never existed, or nothing is known."""
        return self._asked[0].get((ticket.name, ticket.index)) if ticket else None

    def is_over(self, job_id: str) -> bool:
        """Return whether the job with this SLURM_JOB_ID is certainly over."""
        return not self.problem and all(job.job_id != job_id for job in self._asked[0].values())

    @cached_property
    def _asked(self) -> tuple[dict[tuple[str, int], Job], str]:
        command = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", f"--format={'|'.join(FIELDS)}"]
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        except FileNotFoundError:
            return {}, "squeue is not on PATH: start this on a machine that submits to SLURM"
        except subprocess.TimeoutExpired:
            return {}, "squeue does not answer; try again when SLURM's controller is back"
        except subprocess.CalledProcessError as error:
            return {}, f"{' '.join(error.stderr.split())}; try again when SLURM's controller is back"
        return dict(map(_parsed, found.stdout.splitlines())), ""


def _parsed(line: str) -> tuple[tuple[str, int], Job]:
    name, index, job_id, number, state, reason = line.split("|", 5)
    return (name, int(index) if index.isdigit() else 0), Job(job_id, number, state != "PD", reason)
