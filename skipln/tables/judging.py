"""The criterion of divergence, asked of committed curves."""

import math
from collections.abc import Iterator

from skipln.runs.divergence import judge
from skipln.tables.store import Curves, Record


def training_losses(curves: Curves) -> Iterator[tuple[int, float]]:
    """(update, mean training loss since the last log point) of a run's curve; one that was not finite is NaN."""
    for group in curves.groups:
        if "train/loss" in group:
            for update, loss in zip(group["update"], group["train/loss"], strict=True):
                yield int(update or 0), math.nan if loss is None else float(loss)


def judged(record: Record, curves: Curves) -> Record:
    """`record` as it is, or as diverged where its curve shows that it was, at the update at which it would have ended.

    What was measured after that is no result and is left out. A run that ended as diverged stays so: its last window
    may be what the curve, which keeps at most 200 points, does not show.
    """
    training = record.config["training"]
    found = judge(training_losses(curves), training["diverged_above"], training["diverged_after"])
    if found is None or record.state == "diverged":
        return record
    update, why = found
    message = f"{why}; judged anew from its curve, it had gone on to update {record.update}"
    changes = {"state": "diverged", "update": update, "metrics": {}, "signatures": {}, "message": message}
    return record.model_copy(update=changes)
