"""Interleaved comparison of two ways of doing the same work, and the record of it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from scripts.bench.profiling import shares
from skipln.engine.environment import ROOT, describe
from skipln.errors import UserError
from skipln.files import atomic_write

RESULTS = ROOT / "results" / "bench"
PEERS = {
    "fairseq": "ve-fairseq",
    "transformers": "transformers",
    "ctranslate2": "ctranslate2",
    "sacremoses": "sacremoses",
    "subword_nmt": "subword-nmt",
}  # module: package


@dataclass(frozen=True)
class Sides:
    """The two contestants, each called with k to do the k-th piece of work once, the same piece for both.

    found: called after the last pair, what else there is to say (such as how many outputs are identical).
    """

    ours: Callable[[int], object]
    peer: Callable[[int], object]
    found: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True)
class Part:
    """One named comparison.

    ours, peer, work: what is compared and on what, in words; `ours` may hold {precision}. prepare: (precision of
    ours) -> Sides. n: pairs by default. precision: of ours; None: the machine's best. goal: the ratio asked for where
    the processor multiplies bf16 itself. needs: modules of the peers.
    """

    name: str
    ours: str
    peer: str
    work: str
    prepare: Callable[[str], Sides]
    n: int = 10
    warmup: int = 1
    precision: str | None = None
    goal: float | None = None
    needs: tuple[str, ...] = field(default=())


def compare(part: Part, n: int, precision: str, allocator: str) -> dict[str, Any]:
    """Run `n` interleaved pairs of a part; returns its record.

    The two sides take turns at going first, since whoever comes second finds warmer caches. Each pair gives one ratio.
    Where it misses the goal, each side works once more under the profiler.
    Raises UserError when a peer is not installed.
    """
    missing = [module for module in part.needs if find_spec(module) is None]
    if missing:
        raise UserError(f"{part.name}: {', '.join(missing)} is not installed here; `make peers` adds it")
    chosen = part.precision or precision
    sides = part.prepare(chosen)
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    cpu: dict[str, list[float]] = {"ours": [], "peer": []}  # of this process: what a busy machine changes less
    for k in tqdm(range(-part.warmup, n), desc=part.name, unit="pair", leave=False):
        order = [("ours", sides.ours), ("peer", sides.peer)]
        for side, work in order if k % 2 else reversed(order):
            clocks = time.perf_counter(), time.process_time()
            work(k)
            if k >= 0:
                seconds[side].append(round(time.perf_counter() - clocks[0], 6))
                cpu[side].append(round(time.process_time() - clocks[1], 6))
    result = ratios(seconds)
    missed = part.goal is not None and result["ratio"] < part.goal
    works = {"ours": sides.ours, "peer": sides.peer} if missed else {}
    return {
        "name": part.name,
        "ours": part.ours.format(precision=chosen),
        "peer": part.peer,
        "work": part.work,
        "precision": chosen,
        "goal": part.goal,
        **result,
        "seconds": seconds,
        "cpu_ratio": ratios(cpu)["ratio"],
        "cpu_seconds": cpu,
        **sides.found(),
        **({"profile": {side: shares(partial(work, 0)) for side, work in works.items()}} if missed else {}),
        "allocator": allocator,
        "versions": {module: _version(PEERS[module]) for module in part.needs},
        "environment": describe(torch.device("cpu")),
    }


def ratios(seconds: dict[str, list[float]]) -> dict[str, float | int]:
    """Median, quartiles and number of the pairs' ratios peer / ours: above 1 ours is faster."""
    each = np.array(seconds["peer"]) / np.array(seconds["ours"])
    low, middle, high = (round(float(q), 3) for q in np.quantile(each, (0.25, 0.5, 0.75)))
    return {"ratio": middle, "p25": low, "p75": high, "n": len(each)}


def write(record: dict[str, Any], folder: Path = RESULTS) -> None:
    """`<folder>/<name>.json`, whole or not at all."""
    with atomic_write(folder / f"{record['name']}.json", "w") as file:
        file.write(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
