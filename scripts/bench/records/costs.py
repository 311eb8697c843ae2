"""What has a limit of its own rather than a peer: measured several times, recorded, shown under the comparisons."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from scripts.bench.records.harness import write
from scripts.bench.records.page import write_page
from skipln.engine.environment import describe


@dataclass(frozen=True)
class Cost:
    """What was done, its seconds by the clock and of a processor, a value each time, and the limit of the former."""

    what: str
    seconds: list[float]
    processor: list[float]
    limit: float


def write_costs(name: str, costs: list[Cost]) -> None:
    """`results/bench/<name>.json`, and the page anew."""
    record: dict[str, Any] = {"name": name, "costs": [asdict(cost) for cost in costs]}
    write(record | {"allocator": "glibc", "environment": describe(torch.device("cpu"))})
    write_page()
