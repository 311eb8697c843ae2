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

from scripts.bench.records.hardware import folder, hardware
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
    ours) -> Sides. n: pairs by default. precision: of ours; None: the machine's best. goal: the ratio asked for.
    share: precision of ours -> the share asked for, see `compare`; None: what it does is not mostly products.
    needs: modules of the peers.
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


def compare(part: Part, n: int, precision: str, allocator: str) -> dict[str, Any]:
    """Run `n` interleaved pairs of a part; returns its record.

    The two sides take turns at going first, since whoever comes second finds warmer caches. Each pair gives one ratio,
    and where a share is asked for, the products of our side are done alone between the pairs: the share is their time
    in ours, which is FLOPs / the rate at which the machine multiplies these shapes at that moment / our time.
    Where it misses a goal, each side works once more under the profiler.
    Raises UserError when a peer is not installed.
    """
    missing = [module for module in part.needs if find_spec(module) is None]
    if missing:
        raise UserError(f"{part.name}: {', '.join(missing)} is not installed here; `make peers` adds it")
    chosen = part.precision or precision
    sides = part.prepare(chosen)
    alone = [products(partial(sides.ours, k)) for k in range(n)] if part.share else []
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    cpu: dict[str, list[float]] = {"ours": [], "peer": []}  # of this process: what a busy machine changes less
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
    works = {"ours": sides.ours, "peer": sides.peer} if missed else {}
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
        **sides.found(),
        **({"profile": {side: shares(partial(work, 0)) for side, work in works.items()}} if missed else {}),
        "allocator": allocator,
        "versions": {module: _version(PEERS[module]) for module in part.needs},
        "environment": describe(torch.device("cpu")),
    }


def _clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of this process."""
    clocks = time.perf_counter(), time.process_time()
    work()
    return round(time.perf_counter() - clocks[0], 6), round(time.process_time() - clocks[1], 6)


def ratios(seconds: dict[str, list[float]]) -> dict[str, float | int]:
    """Median, quartiles and number of the pairs' ratios peer / ours: above 1 ours is faster."""
    each = np.array(seconds["peer"]) / np.array(seconds["ours"])
    low, middle, high = _quartiles(each)
    return {"ratio": middle, "p25": low, "p75": high, "n": len(each)}


def share(multiplying: list[float], ours: list[float]) -> dict[str, float]:
    """Median and quartiles of products' time alone / our time, pair by pair."""
    low, middle, high = _quartiles(np.array(multiplying) / np.array(ours))
    return {"share": middle, "share_p25": low, "share_p75": high}


def _quartiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(q), 3) for q in np.quantile(values, (0.25, 0.5, 0.75)))


def write(record: dict[str, Any], into: Path | None = None) -> None:
    """`<into>/<name>.json`, whole or not at all; None: the folder of this machine's records."""
    with atomic_write((into or folder()) / f"{record['name']}.json", "w") as file:
        file.write(json.dumps(record | {"hardware": hardware()}, indent=1, ensure_ascii=False) + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
