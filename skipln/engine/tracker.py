"""Tracking beyond metrics.jsonl: a process of its own that reads the run's folder, so that nothing in it can reach
training: not a server that hangs, not a full disk, not its own time."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from skipln.configuration.schema import RunConfig
from skipln.engine.environment import describe
from skipln.runs.folder import RunFolder
from skipln.system.places import ROOT

FINISHED, UNFINISHED = 40, 5  # seconds to wait for the last points, which `make wandb-sync` sends otherwise


@contextmanager
def tracked(config: RunConfig, folder: RunFolder, device: torch.device) -> Iterator[None]:
    """Follow the run for as long as the context lasts; the end of our pipe tells the follower to finish."""
    process = _follow(config, folder, device) if config.tracker.name == "wandb" else None
    try:
        yield
    finally:
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):  # it ends by itself soon after
                process.wait(FINISHED if folder.finished() else UNFINISHED)


def _follow(config: RunConfig, folder: RunFolder, device: torch.device) -> subprocess.Popen | None:
    """`python -m skipln.tracking FOLDER`: notes to our stderr, W&B's chatter to a log in the folder."""
    about = {"hash": config.hash, "config": config.model_dump(), "environment": describe(device)}
    try:
        with (folder.path / "tracker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "skipln.tracking", str(folder.path.resolve())],
                stdin=subprocess.PIPE,
                stdout=2,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,  # signals are for the run, which ends this process in order
                text=True,
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(about) + "\n")
        process.stdin.flush()
    except OSError as error:
        print(f"note: no tracking, {error}; training goes on, make wandb-sync sends the run later", file=sys.stderr)
        return None
    return process
