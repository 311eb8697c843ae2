"""What a run folder says: its state, its result, its metrics. Written by the engine, read here, never changed."""

import json
import logging
import math
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from skipln.files import is_locked
from skipln.runs.queue import Queue, read_ticket

log = logging.getLogger(__name__)


class Data(BaseModel):
    """The data of a run: its name, the fingerprint of its content, the number of test examples."""

    name: str
    fingerprint: str
    test_examples: int


class Result(BaseModel):
    """result.json: what a finished run gave. Keys beyond these are kept. Speeds are per second of training."""

    model_config = ConfigDict(extra="allow")

    hash: str
    state: Literal["done", "diverged"]
    update: int
    metrics: dict[str, float | None]
    signatures: dict[str, str] = {}
    parameters: int | None = None
    tokens_per_second: float | None = None
    images_per_second: float | None = None
    train_seconds: float = 0.0
    test_seconds: float = 0.0
    data: Data
    environment: dict[str, Any]
    message: str = ""


@dataclass(frozen=True)
class RunState:
    """Where a run stands. `state` is one of status.json's, or "missing"; `result` is there iff it is finished."""

    state: str
    update: int = 0
    updates: int = 0
    message: str = ""
    result: Result | None = None


def read_state(folder: Path, queue: Queue | None = None) -> RunState:
    """Where the run in `folder` stands: what it says itself, unless its process is dead or `queue` knows better."""
    result = read_result(folder)
    if result is not None:
        return RunState(result.state, result.update, result.update, result.message, result)
    status = _read_status(folder)
    state, message = str(status.get("state", "missing")), str(status.get("message") or "")
    update, updates = int(status.get("update") or 0), int(status.get("updates") or 0)
    if state in ("done", "diverged"):
        state, message = "missing", "no result.json that can be read"
    ticket = read_ticket(folder) if queue else None
    if queue and (job := queue.find(ticket)):
        said = message if state == "running" else ""
        state, message = ("running", said) if job.running else ("queued", f"{job.reason}, job {job.number}")
    elif queue and ticket and state == "missing":
        gone = "failed", "its job ended before the run began"
        state, message = ("queued", queue.problem) if queue.problem else gone
    elif state == "running" and _is_dead(folder, status, queue):
        state, message = "interrupted", "its process is gone; start it again to continue"
    return RunState(state, update, updates, message)


def _read_status(folder: Path) -> dict[str, Any]:
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
        return status if "state" in status else {"message": "status.json is damaged"}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError):
        return {"message": "status.json is damaged"}


def _is_dead(folder: Path, status: dict[str, Any], queue: Queue | None) -> bool:
    """Whether a run that says it is running is not: here its process would lock the folder, elsewhere it is a job."""
    if status.get("host") == socket.gethostname():
        return not is_locked(folder / ".lock")
    return bool(queue and status.get("job") and queue.is_over(status["job"]))


def last_line(folder: Path) -> str:
    """The last line of the run's log that says something; an `error: …` line wins over what follows it."""
    ticket = read_ticket(folder)
    logs = [folder / "log.txt", *([Path(ticket.log)] if ticket and ticket.log else [])]
    logs = sorted((log for log in logs if log.is_file()), key=lambda log: log.stat().st_mtime)
    if not logs:
        return ""
    with logs[-1].open("rb") as file:
        file.seek(max(0, logs[-1].stat().st_size - 4096))
        tail = file.read().decode(errors="replace")
    lines = [line.strip() for line in tail.replace("\r", "\n").split("\n") if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1]


def read_result(folder: Path) -> Result | None:
    """The finished run's result, or None with a note in the log when result.json is damaged or another run's."""
    path = folder / "result.json"
    try:
        result = Result.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = _reason(error)
        log.warning("%s: damaged (%s); the run counts as missing, start the table again to make it", path, reason)
        return None
    if result.hash != folder.name:
        log.warning("%s: the result of another run, %s; this one counts as missing", path, result.hash)
        return None
    if bad := [key for key, value in result.metrics.items() if value is None or not math.isfinite(value)]:
        log.warning("%s: damaged (%s is no number); the run counts as missing", path, bad[0])
        return None
    return result


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The points of metrics.jsonl in order of update; none when there is no file.

    A torn line, as kill -9 leaves one at the end, is left out with a note in the log.
    """
    path = folder / "metrics.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    points = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            point = json.loads(line)
            int(point["update"])
        except (ValueError, KeyError, TypeError):
            log.warning("%s, line %d: torn, left out", path, number)
            continue
        points.append(point)
    return sorted(points, key=lambda point: point["update"])


def read_examples(folder: Path) -> np.ndarray | None:
    """Sufficient statistics [test examples, k] of examples.npy in float64, or None (with a note) if unreadable."""
    path = folder / "examples.npy"
    try:
        examples = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        log.warning("%s: damaged (%s); its differences are not tested", path, error)
        return None
    return examples.astype(np.float64) if examples.ndim == 2 else None


def read_config(folder: Path) -> dict[str, Any]:
    """config.yaml as plain values, nothing in it resolved; empty when it cannot be read."""
    try:
        content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    except Exception:  # a page without it is better than none, whatever the parser stumbled on
        log.warning("%s: no config.yaml that can be read", folder)
        return {}


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'its JSON'}: {first['msg'].lower()}"
    return str(error)
