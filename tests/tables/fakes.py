"""Run folders as the engine writes them, without an engine."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np

from skipln.tables.statistics.significance import bleu

SIGNATURES = {"bleu": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0", "chrf": "nrefs:1|case:mixed|nc:6"}
ENVIRONMENT = {
    "commit": "0123456789ab",
    "dirty": False,
    "python": "3.11.9",
    "torch": "2.15.0",
    "cpu": "Fake CPU, 2 logical cores",
    "device": "cpu",
    "threads": 2,
    "precision": "fp32",
    "compiled": False,
    "time": "2026-01-01T00:00:00+00:00",
}


def sentences(precision: float, count: int = 200, seed: int = 1) -> np.ndarray:
    """Return BLEU's sufficient statistics [count, 10] of translations whose n-grams match with `precision`^n."""
    lengths = np.random.default_rng(0).integers(8, 30, size=count)  # the same references for every system
    rng = np.random.default_rng(seed)
    totals = np.stack([lengths - order for order in range(4)], axis=1)
    matches = rng.binomial(totals, [[precision**order for order in range(1, 5)]])
    return np.concatenate([lengths[:, None], lengths[:, None], matches, totals], axis=1).astype(np.float64)


def write_status(folder: Path, state: str, update: int = 10, updates: int = 20, **changes: Any) -> None:
    content = {"state": state, "update": update, "updates": updates, "message": "", "time": "2026-01-01T00:00:00+00:00"}
    content |= {"pid": os.getpid(), "host": socket.gethostname()} | changes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").write_text(json.dumps(content))


def write_metrics(folder: Path, points: int = 4, shift: float = 0.0, torn: bool = False) -> None:
    lines = []
    for i in range(1, points + 1):
        where = {"update": 5 * i, "epoch": 0, "tokens": 500 * i, "wall": 0.5 * i}
        train = {"train/loss": 6 / i + shift, "train/nll": 5 / i + shift, "lr": 1e-3, "grad_norm": 1.0}
        lines.append(where | train | {"tokens_per_second": 1000.0})
        lines.append(where | {"valid/loss": 6 / i + shift, "valid/bleu": 2.0 * i + shift})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text(text + ('{"update": 99, "tra' if torn else ""))


def finish(
    folder: Path, precision: float = 0.7, seed: int = 1, state: str = "done", count: int = 200, **changes: Any
) -> dict[str, Any]:
    """Write a finished run to `folder`, whose name is its hash, and return its result."""
    examples = sentences(precision, count, seed)
    score = float(bleu(examples.sum(axis=0)))
    done = state == "done"
    result = {
        "hash": folder.name,
        "state": state,
        "update": 20 if done else 7,
        "metrics": {"bleu": score, "chrf": score + 20, "valid_loss": 3.5} if done else {},
        "signatures": SIGNATURES if done else {},
        "parameters": 1_391_616,
        "tokens_per_second": 11_234.5,
        "train_seconds": 110.0,
        "test_seconds": 10.0,
        "data": {"name": "catalogs", "fingerprint": "0a1b2c3d", "test_examples": count},
        "environment": ENVIRONMENT,
        "message": "" if done else "loss nan at update 7",
    } | changes
    write_status(folder, state, 20, 20)
    write_metrics(folder, shift=0.1 * seed)
    (folder / "config.yaml").write_text("seed: 1\ndata: {kind: catalogs, dir: /somewhere}\npaths: {runs: runs}\n")
    if done:
        np.save(folder / "examples.npy", examples)
    (folder / "result.json").write_text(json.dumps(result))
    return result
