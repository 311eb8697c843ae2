"""Several processes: ranks share the micro-batches of an update, and the curve equals that of one process."""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch.distributed as dist

from skipln.configuration.composition import compose
from skipln.engine.ranks import Ranks
from skipln.engine.run import execute
from skipln.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
# Three micro-batches for two ranks: one rank gets two of them, the other gets one.
RUN = ["training.accumulate=3", "training.updates=8", "training.log_every=1", "training.checkpoint_every=4"]


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        line[key]
        for line in lines
        for key in ("train/loss", "valid/loss", "grad_norm", "tokens", "images")
        if key in line
    ]


def torchrun(overrides: list[str]) -> subprocess.Popen:
    """Start two ranks with gloo on the CPU."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "skipln.train"]
    command = [sys.executable, *launch, *overrides, "compute.devices=2"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


IMAGES = [
    "task=classification", "scale=test", "compute.accelerator=cpu", "compute.threads=1", "model.norm=none",
    "model.blocks=[1,1]", "training.average=1",
]  # fmt: skip


@pytest.mark.parametrize("skip", ["rskip_ln", pytest.param("pre_ln", marks=pytest.mark.slow)])
def test_two_ranks_equal_one_process_with_all_micro_batches(tiny, tmp_path, skip):
    """Even with dropout, whose seed belongs to the micro-batch and not to the rank, and with images through pre-LN,
    whose norm has no effect in a block that changes shape."""
    run = [*tiny, *RUN] if skip == "rskip_ln" else [*IMAGES, *RUN, f"paths.cache={tmp_path}"]
    one = compose([*run, f"skip={skip}", f"paths.runs={tmp_path / 'one'}"])
    assert execute(one) == "done"

    overrides = [*run, f"skip={skip}", f"paths.runs={tmp_path / 'two'}"]
    process = torchrun(overrides)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    two = compose(overrides)
    assert two.hash == one.hash
    assert losses(two.folder) == pytest.approx(losses(one.folder), rel=1e-4)
    assert json.loads((two.folder / "result.json").read_text())["state"] == "done"


class Store:
    """Stands in for torch's store of keys and counters."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.left = 0
        self.gone = False

    def set(self, key: str, _: str) -> None:
        self.keys.add(key)

    def check(self, keys: list[str]) -> bool:
        if self.gone:
            raise dist.DistNetworkError("Connection reset by peer")
        return self.keys.issuperset(keys)

    def add(self, _: str, number: int) -> int:
        self.left += number
        return self.left


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Ranks]:
    """ranks(i) is rank i of two that share a store."""
    store = Store()
    monkeypatch.setattr(dist.distributed_c10d, "_get_default_store", lambda: store)
    monkeypatch.setattr(dist, "PrefixStore", lambda prefix, inner: inner)
    monkeypatch.setattr(atexit, "register", lambda _: None)
    return lambda rank: Ranks(SimpleNamespace(is_global_zero=rank == 0, world_size=2))


def test_other_ranks_leave_only_after_rank_0_is_done(ranks):
    said: list[str] = []

    def take_part(rank: int) -> None:
        with ranks(rank):
            time.sleep(0.3 * (rank == 0))  # stands in for the evaluation, which rank 0 does alone
            said.append(f"{rank} is done")
        said.append(f"{rank} left")

    threads = [threading.Thread(target=take_part, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert said[:2] == ["1 is done", "0 is done"]
    assert sorted(said[2:]) == ["0 left", "1 left"]


def test_rank_0_does_not_wait_for_ever_for_a_dead_rank(ranks, monkeypatch):
    monkeypatch.setattr("skipln.engine.ranks.GOODBYE", 0.1)
    with ranks(0):
        pass


def test_the_death_of_rank_0_is_one_line(ranks):
    waiting = ranks(1)
    waiting.store.gone = True
    with pytest.raises(UserError, match="another process of this run has ended"), waiting:
        pass


def test_a_rank_that_fails_waits_for_nobody(ranks):
    with pytest.raises(ZeroDivisionError), ranks(1):
        raise ZeroDivisionError


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_dies_is_seen(rank, tiny, tmp_path):
    """A rank is killed in training: the whole job ends without a result."""
    run = ["training.accumulate=2", "training.updates=400", "training.log_every=100", "training.checkpoint_every=15"]
    overrides = [*tiny, *run, f"paths.runs={tmp_path}"]
    folder = compose(overrides).folder
    process = torchrun(overrides)
    wait_for(lambda: list((folder / "checkpoints").glob("state-*.pt")))
    os.kill(child(process.pid, rank), signal.SIGKILL)
    process.communicate(timeout=200)
    assert process.returncode
    assert not (folder / "result.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_stop_together_in_the_middle_of_a_window(rank, tiny, tmp_path):
    """A signal to one rank stops both at the same update, and the saved sums of the loss are those of both."""
    run = ["training.accumulate=2", "training.updates=120", "training.log_every=60", "training.checkpoint_every=15"]
    one = compose([*tiny, *run, f"paths.runs={tmp_path / 'one'}"])
    assert execute(one) == "done"

    overrides = [*tiny, *run, f"paths.runs={tmp_path / 'two'}"]
    two = compose(overrides)
    process = torchrun(overrides)
    wait_for(lambda: list((two.folder / "checkpoints").glob("state-*.pt")))
    os.kill(child(process.pid, rank), signal.SIGTERM)
    process.communicate(timeout=200)
    status = json.loads((two.folder / "status.json").read_text())
    assert status["state"] == "interrupted"
    assert status["update"] % 60
    assert (two.folder / "checkpoints" / f"state-{status['update']:08d}.pt").exists()

    process = torchrun(overrides)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert losses(two.folder) == pytest.approx(losses(one.folder), rel=1e-4)


def child(parent: int, rank: int) -> int:
    """Return the process of `rank` that torchrun (process `parent`) started."""
    for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{number}/environ").read_bytes().split(b"\0"):
            return int(number)
    raise AssertionError(f"torchrun has no rank {rank}")


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
