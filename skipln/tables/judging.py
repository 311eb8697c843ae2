"""The criterion of divergence, applied to committed curves."""

import math
from collections.abc import Iterator

from skipln.errors import UserError
from skipln.runs.divergence import judge
from skipln.tables.store import MEND, Curves, Record


def training_losses(curves: Curves) -> Iterator[tuple[int, float]]:
    """(update, mean training loss since the last log point) of a run's curve; losses that were not finite are NaN."""
    for group in curves.groups:
        if "train/loss" in group:
            for update, loss in zip(group["update"], group["train/loss"], strict=True):
                yield int(update or 0), math.nan if loss is None else float(loss)


def judged(record: Record, curves: Curves) -> Record:
    """`record` unchanged, or marked as diverged, at the update at which it would have ended, if its curve shows so.

    Metrics measured after that update are dropped. A run that ended as diverged stays so: the curve keeps at most 200
    points and may not show its last window. Raises UserError for a record without the criterion's numbers.
    """
    training = record.config.get("training")
    if training is None:
        raise UserError(f"run {record.hash}: its record does not say when it would count as diverged; {MEND}")
    found = judge(training_losses(curves), training["diverged_above"], training["diverged_after"])
    if found is None or record.state == "diverged":
        return record
    update, why = found
    message = f"{why}; judged again from its curve; the run had continued to update {record.update}"
    changes = {"state": "diverged", "update": update, "metrics": {}, "signatures": {}, "message": message}
    return record.model_copy(update=changes)
