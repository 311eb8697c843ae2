"""Test a row against the baseline over test examples: what might other sentences or images change?

`runs.over_runs` tests what other seeds might change.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

import numpy as np

from skipln.tables.metrics import Metric
from skipln.tables.statistics.significance import SCORES, Difference, over_examples
from skipln.tables.store import Record

log = logging.getLogger(__name__)
TOLERANCE = 0.005  # in the metric's unit, between a record's score and that of its statistics


def compared(
    metric: Metric, runs: Sequence[Record], baseline: Sequence[Record], examples: Mapping[str, np.ndarray]
) -> Difference | None:
    """`runs` minus `baseline` with its test, from the statistics of their test examples by hash.

    None if a run diverged (the remaining ones are a biased sample), or if the statistics of a run were not kept or
    belong to another measurement than its record.
    """
    if metric.examples is None or not (runs and baseline) or any(r.state != "done" for r in (*runs, *baseline)):
        return None
    if not all(agrees(metric, record, examples) for record in (*runs, *baseline)):
        return None
    system, other = ([examples[record.hash] for record in side] for side in (runs, baseline))
    try:
        difference = over_examples(system, other, score=SCORES[metric.key], unit=metric.examples)
    except ValueError as error:
        log.warning("%s against %s: %s; not tested", runs[0].row, baseline[0].row, error)
        return None
    # Six decimals of a resampled number are the same on every machine.
    low, high, p = (round(number, 6) for number in (difference.low, difference.high, difference.p))
    return dataclasses.replace(difference, difference=round(difference.difference, 6), low=low, high=high, p=p)


def agrees(metric: Metric, record: Record, examples: Mapping[str, np.ndarray]) -> bool:
    """Whether the statistics of the run's examples exist and give the score that the record states."""
    stated, statistics = record.metrics.get(metric.key), examples.get(record.hash)
    if stated is None or statistics is None:
        return False
    try:
        found = float(SCORES[metric.key](statistics.sum(axis=0), len(statistics)))
    except (IndexError, ValueError):  # statistics of another kind
        return False
    if abs(found - stated) > TOLERANCE:
        said = "%s: the statistics of its %s give %s %.2f, its record says %s; not tested"
        log.warning(said, record.hash, metric.examples, metric.label, found, stated)
        return False
    return True
