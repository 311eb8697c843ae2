"""Each row against the baseline over test sentences, tested when records are collected: their statistics stay in runs/.

What another seed might change is `runs.over_runs`, from the records alone.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skipln.runs.reading import read_examples
from skipln.tables.manifest import Manifest
from skipln.tables.metrics import Metric
from skipln.tables.statistics.significance import Difference, bleu, over_sentences
from skipln.tables.store import Comparison, Record

log = logging.getLogger(__name__)


def compare(
    manifest: Manifest, records: Sequence[Record], folders: Mapping[str, Path], earlier: Sequence[Comparison]
) -> list[Comparison]:
    """Every row with a finished run against the baseline, in each column, on the column's first metric.

    Where the run folders are gone, the comparison in `earlier` of what the same runs measured is kept; where none can
    be made, as there are no statistics of single sentences, there is none.
    """
    known = {(item.row, item.column, item.metric): item for item in earlier if item.baseline == manifest.baseline}
    comparisons = []
    columns = {column.name: column for columns in manifest.columns.values() for column in columns}
    for name in dict.fromkeys(record.column for record in records):
        metric = manifest.metrics_of(columns[name])[0]
        if metric.examples is None:
            continue
        sides = {
            row.name: [r for r in records if (r.row, r.column, r.state) == (row.name, name, "done")]
            for row in manifest.rows
        }
        baseline = sides.pop(manifest.baseline)
        for row, runs in sides.items():
            if not runs or not baseline:
                continue
            hashes = [record.hash for record in (*runs, *baseline)]
            difference = _difference(metric, runs, baseline, folders)
            if difference is None:
                kept = known.get((row, name, metric.key))
                if kept and kept.holds_for(runs, baseline):
                    comparisons.append(kept)
                continue
            comparisons.append(
                Comparison(
                    row=row,
                    column=name,
                    metric=metric.key,
                    baseline=manifest.baseline,
                    seeds=sorted({record.seed for record in runs}),
                    runs=hashes,
                    **_rounded(difference),
                )
            )
    return comparisons


def _difference(
    metric: Metric, runs: Sequence[Record], baseline: Sequence[Record], folders: Mapping[str, Path]
) -> Difference | None:
    statistics = [_statistics(metric, record, folders) for record in (*runs, *baseline)]
    if any(item is None for item in statistics):
        return None
    found = [item for item in statistics if item is not None]
    try:
        return over_sentences(found[: len(runs)], found[len(runs) :])
    except ValueError as error:
        log.warning("%s against %s: %s; not tested", runs[0].row, baseline[0].row, error)
        return None


def _statistics(metric: Metric, record: Record, folders: Mapping[str, Path]) -> np.ndarray | None:
    """Of the run's sentences, [sentences, 10], if they are there and give the score that the record states."""
    examples = read_examples(folders[record.hash]) if record.hash in folders else None
    if examples is None or examples.shape[1] != 10:
        return None
    stated, found = record.metrics.get(metric.key), float(bleu(examples.sum(axis=0)))
    if stated is None or abs(found - stated) > 0.05:
        log.warning(
            "%s: examples.npy gives %s %.2f, result.json %s; not tested", record.hash, metric.label, found, stated
        )
        return None
    return examples


def _rounded(difference: Difference) -> dict[str, Any]:
    """Six decimals: what a file should hold of a resampled number, and the same on every machine."""
    return {key: round(v, 6) if isinstance(v, float) else v for key, v in dataclasses.asdict(difference).items()}
