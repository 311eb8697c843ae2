"""Reading a run's folder: its state, its result, its metrics. The engine writes them; nothing here changes them."""

import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skipln.errors import UserError
from skipln.runs.queue import Queue, read_ticket
from skipln.runs.result import Checked, Count, Result, read_result
from skipln.system.files import is_locked
from skipln.system.printing import one_line
from skipln.system.strict_json import loads, read_json
from skipln.system.strict_yaml import read_dumped

log = logging.getLogger(__name__)


class Status(Checked):
    """status.json: what a run says about itself while it is under way."""

    state: Literal["queued", "running", "interrupted", "done", "diverged", "failed", "missing"] = "missing"
    update: Count = 0
    updates: Count = 0
    message: str = ""
    host: str = ""
    job: str | None = None


@dataclass(frozen=True)
class RunState:
    """Where a run stands. `state` is one of status.json's, or "missing"; only a finished run has a `result`."""

    state: str
    update: int = 0
    updates: int = 0
    message: str = ""
    result: Result | None = None


def required_result(folder: Path) -> Result:
    """Return the result of a run that an evaluation takes as input. Raises UserError if it has none."""
    found = read_state(folder)
    if found.result is None:
        why = ": ".join(filter(None, [found.state, found.message]))
        raise UserError(f"inputs: {folder} has no result ({why}); run it first")
    return found.result


def read_state(folder: Path, queue: Queue | None = None) -> RunState:
    """Return where the run in `folder` stands, as it says itself unless its process is dead or `queue` knows better."""
    result = read_result(folder)
    if result is not None:
        return RunState(result.state, result.update, result.update, result.message, result)
    status = _read_status(folder)
    state: str = status.state
    message = status.message
    if state in ("done", "diverged"):
        state, message = "missing", "no result.json that can be read"
    ticket = read_ticket(folder) if queue else None
    if queue and (job := queue.find(ticket)):
        current = message if state == "running" else ""
        state, message = ("running", current) if job.running else ("queued", f"{job.reason}, job {job.number}")
    elif queue and ticket and state == "missing":
        gone = "failed", "its job ended before the run began"
        state, message = ("queued", queue.problem) if queue.problem else gone
    elif state == "running" and _is_dead(folder, status, queue):
        state, message = "interrupted", "its process is gone; start it again to continue"
    return RunState(state, status.update, status.updates, message)


def _read_status(folder: Path) -> Status:
    try:
        return Status.model_validate(read_json(folder / "status.json"))
    except FileNotFoundError:
        return Status()
    except (OSError, ValueError):
        return Status(message="status.json is damaged")


def _is_dead(folder: Path, status: Status, queue: Queue | None) -> bool:
    """Return whether a run that says it is running is dead: on this host no process locks its folder, or on another
    its job is over."""
    if status.host == socket.gethostname():
        return not is_locked(folder / ".lock")
    return bool(queue and status.job and queue.is_over(status.job))


def last_line(folder: Path) -> str:
    """Return the last line of the run's log that is not empty, or the last `error: …` line if there is one."""
    ticket = read_ticket(folder)
    logs = [folder / "log.txt", *([Path(ticket.log)] if ticket and ticket.log else [])]
    found = (log for log in logs if os.path.isfile(log))  # noqa: PTH113 (a ticket may name anything)
    logs = sorted(found, key=lambda log: log.stat().st_mtime)
    if not logs:
        return ""
    with logs[-1].open("rb") as file:
        file.seek(max(0, logs[-1].stat().st_size - 4096))
        tail = file.read().decode(errors="replace")
    lines = [line.strip() for line in tail.replace("\r", "\n").split("\n") if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1]


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the points of metrics.jsonl in the order of their updates; none if there is no file.

    A torn line, such as kill -9 may leave at the end, is left out with a note in the log.
    """
    path = folder / "metrics.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("%s: cannot be read (%s)", path, error.strerror)
        return []
    points = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            point = loads(line, finite=False)
            update = point["update"]
            if type(update) not in (int, float) or not 0 <= update < 2**53:
                raise ValueError("no update")
        except (ValueError, KeyError, TypeError):
            log.warning("%s, line %d: torn, left out", path, number)
            continue
        points.append(point)
    return sorted(points, key=lambda point: point["update"])


def read_examples(folder: Path) -> np.ndarray | None:
    """Return the statistics [test examples, k] in examples.npy as float64; None if missing or, with a note, damaged."""
    path = folder / "examples.npy"
    try:
        examples = np.load(path, allow_pickle=False, mmap_mode="r")  # mapped, so that a false header takes no memory
        if not isinstance(examples, np.ndarray) or examples.ndim != 2 or examples.dtype.kind not in "iuf":
            raise ValueError("no table of numbers")
        statistics = examples.astype(np.float64)
        if not np.isfinite(statistics).all():
            raise ValueError("a number that is not finite")
    except FileNotFoundError:
        return None
    except Exception as error:  # any error of the reader: a table without tests is better than none
        log.warning("%s: damaged (%s); its differences are not tested", path, one_line(str(error)))
        return None
    return statistics


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.yaml as plain values, with nothing resolved; empty if it cannot be read."""
    try:
        content = read_dumped(folder / "config.yaml")
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError):  # a page without it is better than none
        log.warning("%s: no config.yaml that can be read", folder)
        return {}
