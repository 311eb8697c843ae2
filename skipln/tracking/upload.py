"""One run folder's run in Weights & Biases."""

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import wandb
from pydantic import TypeAdapter

from skipln.configuration.schema import WandbTracker
from skipln.errors import UserError
from skipln.runs.identity import NOT_HASHED
from skipln.runs.result import Result
from skipln.system.files import atomic_write
from skipln.system.strict_json import read_json

PATIENCE = 60  # seconds to wait for the server's answer
UNITS = {
    "update": "optimizer updates",
    "epoch": "passes over the training data",
    "tokens": "target tokens trained on",
    "images": "images trained on",
    "wall": "seconds of training and validation",
    "train/loss": "nats per token or image, label smoothing included",
    "train/nll": "nats per token or image",
}


def session() -> wandb.Settings:
    """W&B's settings for this process, with its messages turned off."""
    return wandb.setup(wandb.Settings(silent=True)).settings


def why_offline() -> str:
    """The reason why nothing can be sent (WANDB_MODE forbids it, or there is no key), or "" if sending is possible.

    Raises UserError for a malformed key.
    """
    mode = os.environ.get("WANDB_MODE", "online")
    if mode not in ("online", "shared"):
        return f"WANDB_MODE={mode}"
    session()
    try:
        return "" if wandb.login(prompt=False, verify=False) else "there is no key"
    except wandb.errors.Error as error:
        raise UserError(f"W&B: {_line(error)}") from error


def require_online() -> None:
    """Raise UserError if nothing can be sent to the server."""
    if why := why_offline():
        how = "`wandb login`, or WANDB_API_KEY=…" if why == "there is no key" else "unset WANDB_MODE to send"
        raise UserError(f"{'no W&B key' if why == 'there is no key' else why}: {how}")


@dataclass(frozen=True)
class Sent:
    """wandb.json of a run folder: which W&B run has its curve, and how much of it."""

    server: str
    entity: str | None
    project: str
    id: str
    points: int
    state: str

    @property
    def place(self) -> tuple[str, str | None, str]:
        return self.server, self.entity, self.project


def read_sent(folder: Path) -> Sent | None:
    """What was sent from `folder`; None if nothing was sent or the file is damaged."""
    try:
        return TypeAdapter(Sent).validate_python(read_json(folder / "wandb.json"))
    except (OSError, ValueError):
        return None


def place_of(tracker: WandbTracker) -> tuple[str, str | None, str]:
    """The destination of runs: server, entity, project."""
    return session().base_url, tracker.entity, tracker.project


class Upload:
    """A W&B run, started or continued under the run's hash.

    A point's step is its index in metrics.jsonl. W&B therefore knows which points it has, and `send` sends the others.
    """

    def __init__(
        self,
        folder: Path,
        run_hash: str,
        config: dict[str, Any],
        tracker: WandbTracker,
        environment: dict[str, Any],
        mode: str,
        process: int | None = None,
        directory: Path | None = None,
    ) -> None:
        """config: the run's, as plain values. process: the process whose use of the machine W&B shows (None: no one's).
        directory: where W&B keeps its files (default: the run folder).

        Raises UserError without a key, or if the server cannot be reached or refuses.
        """
        if mode == "online":
            require_online()
        self.folder, self.place, self.online = folder, place_of(tracker), mode == "online"
        earlier = read_sent(folder)
        run_id = earlier.id if earlier is not None and earlier.place == self.place else run_hash
        # `wandb agent` chooses the id and project of its runs itself.
        place: dict[str, Any] = {}
        if session().sweep_id is None:
            place = {"id": run_id, "project": tracker.project, "entity": tracker.entity}
        settings: dict[str, Any] = {} if process is None else {"x_stats_pid": process}
        try:
            self.run = wandb.init(
                **place,
                name=f"{tracker.group or _form(config)} seed {config.get('seed')}",
                group=tracker.group,
                job_type=tracker.job_type,
                tags=tracker.tags,
                config=_described(config, run_hash, tracker.group, environment),
                mode="online" if self.online else "offline",
                resume="allow" if self.online else None,
                dir=directory or folder,
                settings=wandb.Settings(
                    silent=True,
                    console="off",
                    save_code=False,
                    init_timeout=PATIENCE,
                    finish_timeout=PATIENCE,
                    finish_timeout_raises=True,
                    x_disable_stats=process is None,
                    x_disable_meta=process is None,
                    **settings,
                ),
            )
        except (wandb.errors.Error, OSError) as error:
            raise UserError(f"W&B: {_line(error)}") from error
        self.points: int = self.run.starting_step
        self.run.define_metric("update")
        self.run.define_metric("*", step_metric="update")
        self._remember("running")

    def send(self, points: Sequence[dict[str, Any]]) -> None:
        """Log those of `points` that W&B lacks. `points`: all settled points of the run, from the first."""
        for step in range(self.points, len(points)):
            self.run.log(points[step], step=step, commit=True)
        self.points = max(self.points, len(points))

    def finish(self, state: str, result: Result | None) -> None:
        """Write state and test metrics to the summary and wait for the upload. Raises UserError if it does not end."""
        self.run.summary["state"] = state
        if result is not None:
            self.run.summary.update({f"test/{key}": value for key, value in result.metrics.items()})
        try:
            self.run.finish(exit_code=0 if result is not None else 1)
        except TimeoutError as error:
            raise UserError(f"W&B did not receive everything within {PATIENCE} s") from error
        self._remember(state)

    def _remember(self, state: str) -> None:
        if self.online:
            server, entity, project = self.place
            sent = Sent(server, entity, project, self.run.id, self.points, state)
            with suppress(OSError, UserError), atomic_write(self.folder / "wandb.json", "w") as file:
                json.dump(asdict(sent), file)


def _form(config: dict[str, Any]) -> str:
    """The connection's name; a foreign folder's config.yaml may lack it."""
    skip = config.get("skip")
    return str(skip.get("name")) if isinstance(skip, dict) else "run"


def _described(config: dict[str, Any], run_hash: str, group: str | None, environment: dict[str, Any]) -> dict[str, Any]:
    """The data that W&B shows beside the curve: configuration, table and row, units, commit, versions, hardware."""
    content = {key: value for key, value in config.items() if key not in NOT_HASHED or key == "compute"}
    table, _, row = (group or "").partition("/")
    place = {"table": table, "row": row} if row else {}
    return {**content, **place, "hash": run_hash, "units": UNITS, "environment": environment}


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    late = re.search(r"deadline exceeded|timed out|timeout", text, re.IGNORECASE)
    return f"{session().base_url} does not answer" if late else text
