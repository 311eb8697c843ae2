"""cost.svg: what an update costs, from cost.csv beside it."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from skipln.report.picture import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = {"layers": " in all", "length": ", tokens per sentence", "vocabulary": ", entries"}


def picture(folder: Path) -> Picture:
    """One panel an axis, two in a line: milliseconds an update over its values, median and range."""
    with (folder / "cost.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    axes = list(dict.fromkeys(row["axis"] for row in rows))

    def fill(drawing: "Figure") -> None:
        panels = drawing.subplots(-(-len(axes) // 2), 2).flat
        for panel, axis in zip(panels, axes, strict=False):
            own = [row for row in rows if row["axis"] == axis]
            values = [int(row["value"]) for row in own]
            middle, low, high = ([float(row[key]) for row in own] for key in ("milliseconds", "fastest", "slowest"))
            panel.vlines(values, low, high, linewidth=1)
            panel.plot(values, middle, marker="o", markersize=2.5)
            panel.set_xlabel(f"{axis}{UNITS.get(axis, '')}")
            panel.set_ylim(0, 1.08 * max(high))  # so that a mark at the top is not cut off
            panel.locator_params(axis="x", nbins=4)
            panel.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}")
            panel.spines[["top", "right"]].set_visible(False)
            panel.grid(alpha=0.25, linewidth=0.5)
        drawing.supylabel("ms per update")
        drawing.supxlabel(f"point and line: median, fastest and slowest of n = {rows[0]['n']} updates")

    return Picture(3.2, fill)
