"""A private cluster, small tables made on it, and the same tables made without it, once per session."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing

ROOT = Path(__file__).resolve().parents[2]
TABLE = """
title: Two runs
metrics: [bleu, chrf]
baseline: rskip_ln
seeds: {test: 2}
threads: {test: 1}
columns: {test: [{name: text, label: Text}]}
rows: [{name: rskip_ln, label: rSkip+LN, overrides: [skip=rskip_ln]}]
"""
LONG = [  # enough updates to interrupt a run half-way; status.json shows each of them
    "training.updates=100", "training.checkpoint_every=25", "training.log_every=1", "task.valid_sentences=2",
]  # fmt: skip


@dataclass
class Desk:
    """A folder in which a table is made, on the cluster or, without one, on this machine."""

    path: Path
    overrides: list[str]
    cluster: Cluster | None = None
    table: str = "table9"

    def __post_init__(self) -> None:
        (self.path / "experiments").mkdir(parents=True)
        (self.path / "experiments" / "table9.yaml").write_text(TABLE)
        table2 = (ROOT / "experiments" / "table2.yaml").read_text()
        (self.path / "experiments" / "table2.yaml").write_text(table2)

    def tables(self, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "skipln.tables", "--experiments=experiments", "--results=results", *words]
        return self.start(command)

    def start(self, command: list[str]) -> subprocess.Popen:
        environment = (self.cluster.environment if self.cluster else dict(os.environ)) | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            command, cwd=self.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=_hear_ctrl_c,
        )  # fmt: skip

    def run(self, *more: str) -> subprocess.Popen:
        """Start `make TABLE`."""
        mine = ["--launcher=slurm", "launcher.cpus_per_task=1", *more] if self.cluster else more
        return self.tables("run", self.table, "--scale=test", *self.overrides, *mine)

    def status(self) -> str:
        return finish(self.tables("status", self.table, "--scale=test", *self.overrides), 0)

    def folders(self) -> list[Path]:
        return sorted(path.parent for path in self.path.glob("runs/*/ticket.json"))

    def made(self) -> dict[str, tuple]:
        """Return metrics, translations and curve of each cell, which must not depend on how they were made."""
        return {path.parent.name: outcome(path.parent) for path in self.path.glob("runs/*/result.json")}


def _hear_ctrl_c() -> None:
    """Restore SIGINT's default: a shell that starts tests in the background makes them ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def outcome(folder: Path) -> tuple:
    result = json.loads((folder / "result.json").read_text())
    texts = folder / "translations.txt"
    points = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    curve = [{key: value for key, value in p.items() if key not in ("wall", "tokens_per_second")} for p in points]
    return result["state"], result["metrics"], texts.read_text() if texts.exists() else "", curve


def finish(process: subprocess.Popen, expected: int) -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == expected, output
    return output


def status(folder: Path) -> dict:
    try:
        return json.loads((folder / "status.json").read_text())
    except (OSError, ValueError):
        return {"state": "missing", "update": 0}


def wait_until(condition: Callable[[], object], what: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def stopped_half_way(desk: Desk, process: subprocess.Popen) -> Path:
    """Stop the first run that passes update 10 and return its folder, so that no later step comes too late."""
    found: list[Path] = []

    def under_way() -> bool:
        assert process.poll() is None, process.communicate()[0]
        found[:] = [folder for folder in desk.folders() if status(folder)["update"] >= 10]
        return bool(found)

    wait_until(under_way, "a run under way")
    pid = status(found[0])["pid"]
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: process_status(pid).get("State", "").startswith("T"), "the run to stand still")
    return found[0]


def process_status(pid: int) -> dict[str, str]:
    """Return the kernel's status of a process, empty if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if why := missing():
        pytest.skip(why)
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def without(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, tuple]]:
    """Return a function that makes a table on this machine and returns its outcomes."""
    known: dict[tuple[str, ...], dict[str, tuple]] = {}

    def made(table: str, overrides: list[str]) -> dict[str, tuple]:
        key = (table, *overrides)
        if key not in known:
            desk = Desk(tmp_path_factory.mktemp("without") / "desk", overrides, table=table)
            finish(desk.run(), 0)
            known[key] = desk.made()
        return known[key]

    return made


@pytest.fixture
def overrides(tiny: list[str]) -> list[str]:
    return [*(text for text in tiny if not text.startswith(("scale=", "compute.threads="))), *LONG]


@pytest.fixture
def desk(cluster: Cluster, overrides: list[str], tmp_path: Path) -> Iterator[Desk]:
    """A fresh desk on the cluster; afterwards no job is left."""
    yield Desk(tmp_path / "desk", overrides, cluster)
    cluster.call("scancel", "--signal=KILL", "--full", "--user=root")
    cluster.call("scancel", "--user=root")
    wait_until(lambda: not cluster.call("squeue", "--noheader").strip(), "an empty queue")
