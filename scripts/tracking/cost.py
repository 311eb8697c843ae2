"""Measure what tracker=wandb costs a run of table 2 at demo scale: the processor time of the process that follows it.

The training process only starts the follower; no step contains a call. The follower gets points and checkpoints at the
pace of the committed record, and writes a local W&B run.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from skipln.configuration.composition import compose
from skipln.engine.tracker import tracked
from skipln.runs.folder import RunFolder
from skipln.system.places import RESULTS
from skipln.system.printing import exit_status
from skipln.tables.store import read_records

TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.tracking.cost", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="seconds of training to follow after the start [60]")
    seconds = parser.parse_args().seconds
    record = next(record for record in read_records(RESULTS / "demo" / "table2") if record.state == "done")
    step = record.train_seconds / record.update
    training = record.config["training"]
    with tempfile.TemporaryDirectory(prefix="skipln-cost-") as folder:
        overrides = [*record.overrides, "tracker=wandb", "tracker.mode=offline", f"paths.runs={folder}"]
        config = compose(overrides)
        run = RunFolder(config.folder)
        run.checkpoints.mkdir(parents=True)
        before = time.monotonic()
        with tracked(config, run, torch.device("cpu")):
            entered = time.monotonic() - before
            _train(run, 0, 1, step, training)
            while not list(run.path.glob("wandb/offline-run-*/*.wandb")):
                time.sleep(0.1)
            time.sleep(5)
            start = _cpu()
            _train(run, 1, round(seconds / step), step, training)
            used = _cpu() - start
    updates = round(seconds / step)
    share = used / (updates * step)
    print(f"a step takes {step * 1e3:.1f} ms (committed record of {record.row}, {record.update} updates)")
    print(f"training process: {entered * 1e3:.0f} ms once, nothing per step")
    print(f"follower, start: {start:.2f} s of processor time, {start / record.train_seconds:.1%} of the whole run")
    print(f"follower, training: {used:.2f} s in {updates} steps, {share:.2%} of a step's time on one core")


def _train(run: RunFolder, first: int, last: int, step: float, training: dict[str, int]) -> None:
    """Write what updates first + 1 … last of a run would write, at the run's pace."""
    started = time.monotonic()
    for update in range(first + 1, last + 1):
        if update % training["log_every"] == 0:
            where = {"update": update, "epoch": update / 500, "tokens": 1000 * update, "wall": update * step}
            point = where | {"train/loss": 5 / update, "train/nll": 4 / update, "lr": 1e-3, "grad_norm": 1.0}
            with run.metrics.open("a") as file:
                file.write(json.dumps(point | {"tokens_per_second": 5000.0}) + "\n")
        if update % training["checkpoint_every"] == 0:
            (run.checkpoints / f"state-{update:08d}.pt").touch()
        time.sleep(max(0.0, started + (update - first) * step - time.monotonic()))


def _cpu() -> float:
    """The seconds of processor time that this process's descendants have used."""
    parents, times = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except OSError:  # the process is gone
            continue
        fields = rest.split()
        pid = int(name.split()[0])
        parents[pid], times[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours and pid not in ours}:
        ours |= more
    return sum(times[pid] for pid in ours - {os.getpid()})


if __name__ == "__main__":
    sys.exit(exit_status(main))
