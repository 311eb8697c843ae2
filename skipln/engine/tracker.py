"""Tracking beyond metrics.jsonl, by a separate process that reads the run's folder. So a server that hangs, a full disk
or slow tracking cannot affect training."""

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

FINISHED, UNFINISHED = 40, 5  # seconds to wait for the last points; otherwise `make wandb-sync` can send them


@contextmanager
def tracked(config: RunConfig, folder: RunFolder, device: torch.device) -> Iterator[None]:
    """Track the run while the context lasts; closing our pipe tells the tracking process to finish."""
    process = _follow(config, folder, device) if config.tracker.name == "wandb" else None
    try:
        yield
    finally:
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):  # it then ends by itself soon
                process.wait(FINISHED if folder.finished() else UNFINISHED)


def _follow(config: RunConfig, folder: RunFolder, device: torch.device) -> subprocess.Popen | None:
    """Start `python -m skipln.tracking FOLDER`; its notes go to our stderr, W&B's output to a log in the folder."""
    about = {"hash": config.hash, "config": config.model_dump(), "environment": describe(device)}
    try:
        with (folder.path / "tracker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "skipln.tracking", str(folder.path.resolve())],
                stdin=subprocess.PIPE,
                stdout=2,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,  # signals reach only the run, which then ends this process properly
                text=True,
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(about) + "\n")
        process.stdin.flush()
    except OSError as error:
        print(f"note: no tracking, {error}; training goes on, make wandb-sync can send the run later", file=sys.stderr)
        return None
    return process
