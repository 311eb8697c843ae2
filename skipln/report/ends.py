"""Write a line's name at its end, in its colour, so that no legend is needed."""

from collections.abc import Sequence
from math import isfinite
from statistics import fmean
from typing import TYPE_CHECKING

from skipln.report.colours import legible
from skipln.report.picture import SMALLEST, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def label_ends(panel: "Axes", ends: Sequence[tuple[float, float, str, str]], height: float) -> None:
    """Write each (x, y, name, colour) to the right of the panel, as near to y as the other names allow.

    Limits and scales must be set before. `height`: the panel's height in inches, which sets the distance of the names.
    """
    place = panel.transScale + panel.transLimits
    # Lines that have left the frame are named at its edge.
    wanted = [min(max(float(place.transform((x, y))[1]), 0.0), 1.0) if isfinite(y) else 1.0 for x, y, *_ in ends]
    for (_, _, name, colour), at in zip(ends, spread(wanted, 1.2 * SMALLEST / 72 / height), strict=True):
        panel.text(1.02, at, plain(name), color=legible(colour), va="center", transform=panel.transAxes)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places in the order of `wanted`, at least `gap` apart, with the least sum of squared moves; within 0 and 1 if
    there is room.

    After subtracting rank times gap, the places need only be non-decreasing: this is isotonic regression by pooling
    adjacent violators.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    gap = min(gap, 1 / max(1, len(wanted) - 1))
    pools: list[list[float]] = []
    for rank, i in enumerate(order):
        pools.append([wanted[i] - rank * gap])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    free = [fmean(pool) for pool in pools for _ in pool]
    highest = 1 - gap * (len(wanted) - 1)  # the largest place of the first, with the others above it
    found = [0.0] * len(wanted)
    for rank, i in enumerate(order):
        found[i] = min(max(free[rank], 0.0), highest) + rank * gap
    return found
