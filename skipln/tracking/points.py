"""The points of a run that no crash can take back."""

from pathlib import Path
from typing import Any

from skipln.runs.reading import read_metrics
from skipln.runs.result import read_result


def newest_checkpoint(folder: Path) -> int:
    """The update of the run's last checkpoint, 0 without one."""
    numbers = (path.stem.removeprefix("state-") for path in folder.glob("checkpoints/state-*.pt"))
    return max((int(number) for number in numbers if number.isascii() and number.isdigit()), default=0)


def settled(folder: Path) -> list[dict[str, Any]]:
    """The points of metrics.jsonl up to the last checkpoint, or all of a finished run.

    What lies beyond the checkpoint is logged anew after a crash. So a point's place in this list is its own for
    good: it serves as W&B's step, and a curve can be continued from any place without a gap or a repetition.
    """
    result = read_result(folder)
    last = newest_checkpoint(folder) if result is None else float("inf")
    return [point for point in read_metrics(folder) if point["update"] <= last]
