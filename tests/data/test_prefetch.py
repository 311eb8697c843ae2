"""Any number of workers gives the same items in order and the same errors, and leaves nothing behind."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from skipln.data.prefetch import prefetched
from skipln.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def _square(key: int) -> tuple[int, int]:
    if key == 7:
        raise UserError("x.jpg is truncated; copy it again")
    if key == 8:
        raise RuntimeError("out of luck")
    return key * key, os.getpid()


@pytest.mark.parametrize("workers", [0, 2])
def test_items_of_an_endless_sequence_come_in_order(workers):
    before = torch.get_rng_state()
    found = list(itertools.islice(prefetched(_square, itertools.count(10), workers), 9))
    assert [square for square, _ in found] == [key * key for key in range(10, 19)]
    assert (os.getpid() in {process for _, process in found}) == (not workers)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_user_error_in_a_worker_stays_one_line(workers):
    with pytest.raises(UserError, match=r"^x\.jpg is truncated; copy it again$"):
        list(prefetched(_square, [1, 7], workers))
    with pytest.raises(RuntimeError, match="out of luck"):
        list(prefetched(_square, [8], workers))


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "pass", "raise SystemExit('an error')"])
def test_workers_end_with_their_parent(end):
    """However the parent ends, and although workers ignore the signals that a scheduler sends to the whole job."""
    code = (
        "import itertools, os, signal, time\n"
        "from skipln.data.prefetch import prefetched\n"
        "items = prefetched(lambda key: os.getpid(), itertools.count(), 2)\n"
        "workers = next(items), next(items)\n"
        "for worker in workers: os.kill(worker, signal.SIGTERM)\n"
        "time.sleep(0.3)\n"
        "assert next(items) in workers\n"
        f"print(*workers, flush=True)\n{end}"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert "Exception" not in found.stderr
    workers = [int(word) for word in found.stdout.split()]
    assert len(set(workers)) == 2, found.stderr
    deadline = time.monotonic() + 30
    while any(_alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
