"""Measure what a cluster costs beyond its jobs: submitting and collecting trivial cells, and `status` on many records.

    python -m scripts.bench.studies.cluster --cells 100 --records 1000 --repeat 3

This needs root and SLURM's packages, because it starts the tests' private cluster. A cell's job writes a finished run
and ends; the time between its start and end, as SLURM reports them, is the job's own. The result is
results/bench/cluster.json. It has our processes' processor time beside the wall-clock time, because on a busy machine
only the former is meaningful.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.records.costs import Cost, write_costs
from skipln.system.places import ROOT
from tests.slurm.cluster import Cluster, missing

SUBMITTING, STATUS = 10.0, 2.0  # limits in seconds
TABLE = """
title: Trivial runs
metrics: [bleu]
baseline: rskip_ln
seeds: {test: 1}
columns: {test: [{name: catalogs, label: Catalogs}]}
rows: [{name: rskip_ln, label: rSkip+LN, overrides: [skip=rskip_ln]}]
"""
TRAINER = """
import json, os
from pathlib import Path
index = int(os.environ["SLURM_ARRAY_TASK_ID"])
for ticket in Path("runs").glob("*/ticket.json"):
    if json.loads(ticket.read_text())["index"] == index:
        result = {"hash": ticket.parent.name, "state": "done", "update": 20, "metrics": {"bleu": 17.4},
                  "data": {"name": "catalogs", "fingerprint": "0", "test_examples": 10}, "environment": {}}
        (ticket.parent / "result.json").write_text(json.dumps(result))
"""
MAKE = "import sys; from skipln.tables.cli import main; sys.exit(main(sys.argv[1:], [sys.executable, '-m', 'trivial']))"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if why := missing():
        print(f"error: {why}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "cluster", cpus=16)
        try:
            cluster.start()
            beyond = [_submit(cluster, Path(folder) / f"table{i}", options.cells) for i in range(options.repeat)]
        finally:
            cluster.stop()
        told = _status(Path(folder), options.records, options.repeat)
    write_costs(
        "cluster",
        [
            _cost(f"submitting and collecting {options.cells} cells by SLURM, beyond their jobs", beyond, SUBMITTING),
            _cost(f"`make status` on {options.records:,} records", told, STATUS),
        ],
    )
    return 0


@dataclass(frozen=True)
class Time:
    """Seconds of wall-clock time and of processor time."""

    wall: float
    processor: float


def _cost(what: str, times: list[Time], limit: float) -> Cost:
    walls, processors = ([round(getattr(time, of), 2) for time in times] for of in ("wall", "processor"))
    return Cost(what, walls, processors, limit)


def _timed(command: list[str], desk: Path, environment: dict[str, str]) -> tuple[Time, str]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    found = subprocess.run(command, cwd=desk, env=environment, check=True, capture_output=True, text=True)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Time(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), found.stdout


def _submit(cluster: Cluster, desk: Path, cells: int) -> Time:
    """The time of `make TABLE`, less the time from the first job's start to the last job's end."""
    _furnish(desk)
    environment = cluster.environment | {"PYTHONPATH": f"{ROOT}:{desk}"}
    words = ["run", "table9", "--scale=test", f"--seeds={cells}", "--launcher=slurm", "launcher.cpus_per_task=1"]
    cost, _ = _timed(_command(*words), desk, environment)
    [name] = {json.loads(path.read_text())["name"] for path in desk.glob("runs/*/ticket.json")}
    times = ["squeue", "--noheader", "--array", "--states=all", f"--name={name}", "--Format=StartTime:30,EndTime:30"]
    spans = [line.split() for line in cluster.call(*times).splitlines()]
    jobs = _clock(max(end for _, end in spans)) - _clock(min(start for start, _ in spans))
    return Time(cost.wall - jobs, cost.processor)


def _clock(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def _status(folder: Path, records: int, repeat: int) -> list[Time]:
    """The time of `make status`, Python's start included, with a warm cache of composed configurations."""
    desk = folder / "status"
    _furnish(desk)
    environment = {"PYTHONPATH": f"{ROOT}:{desk}", "PATH": ""}
    words = ("status", "table9", "--scale=test", f"--seeds={records}")
    dry = ("run", "table9", "--scale=test", f"--seeds={records}", "--dry-run")
    _, runs = _timed(_command(*dry), desk, environment)
    for line in runs.splitlines():
        run = desk / "runs" / line.split()[0]
        run.mkdir(parents=True)
        content = {"hash": run.name, "state": "done", "update": 20, "metrics": {"bleu": 17.4}}
        content |= {"data": {"name": "catalogs", "fingerprint": "0", "test_examples": 10}, "environment": {}}
        (run / "result.json").write_text(json.dumps(content))
    costs = []
    for _ in range(repeat):
        cost, page = _timed(_command(*words), desk, environment)
        assert f"{records} done" in page
        costs.append(cost)
    return costs


def _furnish(desk: Path) -> None:
    (desk / "experiments").mkdir(parents=True)
    (desk / "experiments" / "table9.yaml").write_text(TABLE)
    (desk / "trivial.py").write_text(TRAINER)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-c", MAKE, "--experiments=experiments", "--results=results", *words]


if __name__ == "__main__":
    sys.exit(main())
