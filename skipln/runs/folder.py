"""A run's folder: its configuration, progress and measurements. Only this module knows the names of the files."""

import hashlib
import json
import os
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel

from skipln.errors import UserError
from skipln.runs.reading import read_state
from skipln.runs.result import Result, read_result
from skipln.runs.source import Source
from skipln.runs.sums import with_sums
from skipln.system.files import atomic_write, disk_errors, locked
from skipln.system.printing import one_line
from skipln.system.strict_json import loads

State = Literal["queued", "running", "interrupted", "done", "diverged", "failed"]


class RunFolder:
    """runs/<hash>/: config.yaml, starts.jsonl, status.json, metrics.jsonl, result.json, examples.npy, checkpoints/, and
    inputs/, which prepares raw inputs. Translation adds translations.txt and, with sources and references,
    translations.tsv."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.result = path / "result.json"
        self.examples = path / "examples.npy"
        self.translations = path / "translations.txt"
        self.table = path / "translations.tsv"
        self.inputs = path / "inputs"

    def lock(self) -> AbstractContextManager[None]:
        """Lock the folder while training; wait for a process that already holds the lock."""
        return locked(self.path / ".lock", busy=f"{self.path}: waiting for the process that trains this run")

    def write_config(self, config: BaseModel) -> None:
        with atomic_write(self.path / "config.yaml", "w") as file:
            yaml.safe_dump(config.model_dump(), file, sort_keys=False, allow_unicode=True)

    def write_status(self, state: State, update: int, updates: int, message: str = "") -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        where = {"time": now, "pid": os.getpid(), "host": socket.gethostname(), "job": os.environ.get("SLURM_JOB_ID")}
        self._write_json(
            self.path / "status.json",
            {"state": state, "update": update, "updates": updates, "message": one_line(message), **where},
        )

    def write_start(self, update: int, environment: dict[str, Any], code: Source) -> dict[str, Any]:
        """Keep the environment in which a run starts, or continues from `update`, in starts.jsonl and as a patch.

        Return {"earlier": […]} for the record, with the other environments of updates up to there; {} if there are
        none.
        """
        kept = [start for start in self._starts() if start["update"] < update]
        with atomic_write(self.path / "starts.jsonl", "w") as file:
            file.writelines(json.dumps(start) + "\n" for start in [*kept, {"update": update, **environment}])
        if code.patch:
            with atomic_write(self.path / f"uncommitted-{code.digest}.patch") as patch:
                patch.write(code.patch)
        passing = ("update", "time")
        now = {key: value for key, value in environment.items() if key not in passing}
        made = [{key: value for key, value in start.items() if key not in passing} for start in kept]
        earlier = [before for i, before in enumerate(made) if before != now and before not in made[:i]]
        return {"earlier": earlier} if earlier else {}

    def _starts(self) -> list[dict[str, Any]]:
        """Return the lines of starts.jsonl; none if it is missing or damaged."""
        try:
            lines = (self.path / "starts.jsonl").read_bytes().split(b"\n")
            starts = [loads(line) for line in lines if line.strip()]
            return [start for start in starts if type(start["update"]) is int]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def write_result(self, result: Result) -> None:
        """Write result.json with checksums of itself, of the measurements and of inputs/. Raises ValueError if
        `finished` and the tables would refuse it."""
        inputs = sorted(self.inputs.iterdir()) if self.inputs.is_dir() else []
        content = with_sums(result.content(), [self.metrics, self.examples, self.translations, *inputs])
        Result.model_validate(loads(json.dumps(content).encode()))
        self._write_json(self.result, content)

    def write_translations(self, sources: Sequence[str], references: Sequence[str], outputs: Sequence[str]) -> None:
        """Write translations.txt, and translations.tsv: a header, then each sentence's source, reference and output.

        White space within a cell of the table becomes one space.
        """
        with atomic_write(self.translations, "w") as file:
            file.writelines(f"{line}\n" for line in outputs)
        rows = [("source", "reference", "output"), *zip(sources, references, outputs, strict=True)]
        with atomic_write(self.table, "w") as file:
            file.writelines("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)

    def finished(self) -> Result | None:
        """Return the result of a run that is done or diverged if a table would accept it; else None."""
        return read_result(self.path)

    def check_log(self, state: dict[str, Any]) -> None:
        """Raise UserError unless metrics.jsonl still begins with what it held when the checkpoint `state` was saved."""
        try:
            with self.metrics.open("rb") as file:
                begin = file.read(state["log_offset"])
        except (OSError, KeyError, TypeError):
            begin = b""
        if hashlib.sha256(begin).hexdigest() != state.get("log_digest"):
            raise UserError(f"{self.metrics}: changed since the checkpoint of update {state.get('update')}")

    def last_update(self) -> int:
        """Return the update of the last status, or 0 if there is none."""
        return read_state(self.path).update

    def _write_json(self, path: Path, content: dict[str, Any]) -> None:
        with atomic_write(path, "w") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)


class MetricsLog:
    """metrics.jsonl, one line per log point; on resume it is cut to its length at the checkpoint."""

    def __init__(self, path: Path, offset: int) -> None:
        """offset: the bytes to keep; what a killed run wrote after its checkpoint will be written again."""
        self.path = path
        with disk_errors(path):
            path.touch()
            os.truncate(path, offset)
            self.digest = hashlib.sha256(path.read_bytes())

    def append(self, **values: float | int) -> None:
        """Add one whole line. Raises UserError if the disk is full."""
        line = json.dumps({key: _short(value) for key, value in values.items()}, allow_nan=True) + "\n"
        with disk_errors(self.path), self.path.open("ab") as file:
            file.write(line.encode())
        self.digest.update(line.encode())

    def synced(self) -> dict[str, Any]:
        """Flush the file to the disk and return its length and SHA-256 for the checkpoint."""
        with disk_errors(self.path), self.path.open("rb") as file:
            os.fsync(file.fileno())
            return {"log_offset": os.fstat(file.fileno()).st_size, "log_digest": self.digest.hexdigest()}


def _short(value: float | int) -> float | int:
    return float(f"{value:.7g}") if isinstance(value, float) else value
