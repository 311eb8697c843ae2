"""Updates under the system's default allocator, in a separate process: fairseq's as users run it, and ours."""

import os
import subprocess
import sys
from collections.abc import Callable

from skipln.system.places import ROOT


def untuned_step(whose: str, threads: int, precision: str = "fp32") -> Callable[[int], object]:
    """k -> one update on batch k of `mt_step.small_batches`, in the other process, which ends with this one.

    whose: "fairseq" or "ours". precision: of ours.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.bench.peers.untuned_process", whose, precision],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip

    def step(k: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        print(k, file=process.stdin, flush=True)
        if process.stdout.readline().strip() != str(k):
            raise RuntimeError(f"{whose}: the process ended with {process.wait()}; its reason is above")

    return step
