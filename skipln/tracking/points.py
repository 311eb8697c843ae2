"""The settled points of a run, which no crash can undo."""

from pathlib import Path
from typing import Any

from skipln.runs.reading import read_metrics
from skipln.runs.result import read_result


def newest_checkpoint(folder: Path) -> int:
    """The update of the run's last checkpoint; 0 if there is none."""
    numbers = (path.stem.removeprefix("state-") for path in folder.glob("checkpoints/state-*.pt"))
    return max((int(number) for number in numbers if number.isascii() and number.isdigit()), default=0)


def settled(folder: Path) -> list[dict[str, Any]]:
    """The points of metrics.jsonl up to the last checkpoint, or all points of a finished run.

    Points beyond the checkpoint are logged again after a crash. The index of a point in this list therefore never
    changes: it serves as W&B's step, and a curve can be continued anywhere without a gap or a repetition.
    """
    result = read_result(folder)
    last = newest_checkpoint(folder) if result is None else float("inf")
    return [point for point in read_metrics(folder) if point["update"] <= last]
