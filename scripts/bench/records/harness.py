"""Compare two ways of doing the same work, interleaved, and record the comparison."""

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

from scripts.bench.records.hardware import folder, hardware
from scripts.bench.records.memory import allocated
from scripts.bench.records.products import products
from scripts.bench.records.profiling import shares
from skipln.engine.environment import describe
from skipln.errors import UserError
from skipln.system.files import atomic_write

PEERS = {
    "fairseq": "ve-fairseq",
    "transformers": "transformers",
    "ctranslate2": "ctranslate2",
    "sacremoses": "sacremoses",
    "subword_nmt": "subword-nmt",
}  # module: package


@dataclass(frozen=True)
class Sides:
    """The two sides; each is called with k and does the k-th piece of work, the same for both, once.

    found: called after the last pair; returns other findings (such as how many outputs are identical).
    """

    ours: Callable[[int], object]
    peer: Callable[[int], object]
    found: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True)
class Part:
    """One named comparison.

    ours, peer, work: what is compared, and on what, in words; `ours` may contain {precision}. prepare: (precision of
    ours) -> Sides. n: default number of pairs. precision: of ours; None: the machine's best. goal: the ratio to reach.
    share: precision of ours -> the share to reach, see `compare`; None: the work is not mostly products. needs: the
    modules of the peers. profiled: whether both sides are profiled even if no goal is missed.
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
    share: dict[str, float] | None = None
    needs: tuple[str, ...] = field(default=())
    profiled: bool = False


def compare(part: Part, n: int, precision: str, allocator: str) -> dict[str, Any]:
    """Run `n` interleaved pairs of a part; return its record.

    The two sides take turns at going first, because the second one finds warmer caches. Each pair gives one ratio. If
    the part has a share, the products of our side are repeated alone between the pairs; the share is their time / our
    time, which equals FLOPs / the rate at which the machine multiplies these shapes at that moment / our time.
    The record of such a part also has the memory that both sides allocate. If the part misses a goal, each side runs
    once more under the profiler.
    Raises UserError if a peer is not installed.
    """
    missing = [module for module in part.needs if find_spec(module) is None]
    if missing:
        raise UserError(f"{part.name}: {', '.join(missing)} is not installed here; `make peers` adds it")
    chosen = part.precision or precision
    sides = part.prepare(chosen)
    alone = [products(partial(sides.ours, k)) for k in range(n)] if part.share else []
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    cpu: dict[str, list[float]] = {"ours": [], "peer": []}  # of this process; other work affects it less
    multiplying: list[float] = []
    for k in tqdm(range(-part.warmup, n), desc=part.name, unit="pair", leave=False):
        order = [("ours", sides.ours), ("peer", sides.peer)]
        for side, work in order if k % 2 else reversed(order):
            wall, used = _clocked(partial(work, k))
            if k >= 0:
                seconds[side].append(wall)
                cpu[side].append(used)
        if k >= 0 and alone:
            multiplying.append(_clocked(alone[k].run)[0])
    result = ratios(seconds) | (share(multiplying, seconds["ours"]) if alone else {})
    missed = result["ratio"] < (part.goal or 0) or result.get("share", 1) < (part.share or {}).get(chosen, 0)
    works = {"ours": partial(sides.ours, 0), "peer": partial(sides.peer, 0)}
    return {
        "name": part.name,
        "ours": part.ours.format(precision=chosen),
        "peer": part.peer,
        "work": part.work,
        "precision": chosen,
        "goal": part.goal,
        **({"share_goal": part.share.get(chosen)} if part.share else {}),
        **result,
        "seconds": seconds,
        **({"multiplying": multiplying, "gflop": [round(one.flops / 1e9, 2) for one in alone]} if alone else {}),
        "cpu_ratio": ratios(cpu)["ratio"],
        "cpu_seconds": cpu,
        **(allocated(works, "the peer") if alone else {}),
        **sides.found(),
        **({"profile": {side: shares(work) for side, work in works.items()}} if missed or part.profiled else {}),
        "allocator": allocator,
        "versions": {module: _version(PEERS[module]) for module in part.needs},
        "environment": describe(torch.device("cpu")),
    }


def _clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall-clock time and of this process's processor time."""
    clocks = time.perf_counter(), time.process_time()
    work()
    return round(time.perf_counter() - clocks[0], 6), round(time.process_time() - clocks[1], 6)


def ratios(seconds: dict[str, list[float]]) -> dict[str, float | int]:
    """Median, quartiles and number of the pairs' ratios peer / ours; above 1 ours is faster."""
    each = np.array(seconds["peer"]) / np.array(seconds["ours"])
    low, middle, high = _quartiles(each)
    return {"ratio": middle, "p25": low, "p75": high, "n": len(each)}


def share(multiplying: list[float], ours: list[float]) -> dict[str, float]:
    """Median and quartiles of (time of the products alone / our time), pair by pair."""
    low, middle, high = _quartiles(np.array(multiplying) / np.array(ours))
    return {"share": middle, "share_p25": low, "share_p75": high}


def _quartiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(q), 3) for q in np.quantile(values, (0.25, 0.5, 0.75)))


def write(record: dict[str, Any], into: Path | None = None) -> None:
    """Write `<into>/<name>.json`, whole or not at all; into None: the folder of this machine's records."""
    with atomic_write((into or folder()) / f"{record['name']}.json", "w") as file:
        file.write(json.dumps(record | {"hardware": hardware()}, indent=1, ensure_ascii=False) + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
