"""A run's curves, thinned for results/: at most 200 points per metric, values as logged."""

import math
from collections.abc import Sequence
from typing import Any

POINTS = 200
KEPT = ("train/loss", "train/nll", "lr", "grad_norm", "tokens_per_second", "images_per_second")


def thinned(points: Sequence[dict[str, Any]], limit: int = POINTS) -> list[dict[str, list[float | None]]]:
    """Groups of metrics that were logged at the same updates: {"update": […], "tokens": […], "wall": […], metric: […]}.

    `points` are those of metrics.jsonl, sorted by update. If there are more than `limit`, evenly spaced ones are kept,
    including the first and the last. An update logged twice (a run was killed and went back to a checkpoint) counts
    once, as last written. A value that is not finite becomes None.
    """
    groups: dict[tuple[str, ...], dict[int, dict[str, Any]]] = {}
    for point in points:
        metrics = tuple(key for key in point if key in KEPT or key.startswith("valid/"))
        if metrics:
            groups.setdefault(metrics, {})[point["update"]] = point
    return [_columns(metrics, _evenly(list(group.values()), limit)) for metrics, group in groups.items()]


def _columns(metrics: tuple[str, ...], points: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    axes = ["update"] + [key for key in ("tokens", "images", "wall") if key in points[0]]
    return {key: [_number(point.get(key)) for point in points] for key in (*axes, *metrics)}


def _evenly(points: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    if len(points) <= limit:
        return points
    step = (len(points) - 1) / (limit - 1)
    return [points[round(i * step)] for i in range(limit)]


def _number(value: Any) -> float | None:
    """Round to five significant digits, more than a screen shows; integers stay as they are."""
    if isinstance(value, int):
        return value
    if not isinstance(value, float) or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")
