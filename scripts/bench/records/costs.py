"""Costs with a limit instead of a peer: measured several times, recorded, and shown under the comparisons."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from scripts.bench.records.harness import write
from scripts.bench.records.page import write_page
from skipln.engine.environment import describe


@dataclass(frozen=True)
class Cost:
    """What was done, its seconds of wall-clock and of processor time (one value per run), and the wall-clock limit."""

    what: str
    seconds: list[float]
    processor: list[float]
    limit: float


def write_costs(name: str, costs: list[Cost]) -> None:
    """Write `results/bench/<name>.json`, and the page again."""
    record: dict[str, Any] = {"name": name, "costs": [asdict(cost) for cost in costs]}
    write(record | {"allocator": "glibc", "environment": describe(torch.device("cpu"))})
    write_page()
