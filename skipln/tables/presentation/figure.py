"""curves.svg: validation curves, mean ± std over seeds, with each row's name at the end of its line."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from skipln.report.ends import label_ends
from skipln.report.svg import drawn, svg
from skipln.tables.metrics import METRICS
from skipln.tables.presentation.palette import Look, palette
from skipln.tables.statistics.summary import Block, Entry, Summary
from skipln.tables.store import Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 3.0  # inches, of a row of panels


def figure(summary: Summary, curves: Mapping[str, Curves]) -> str:
    """The SVG text, one panel per column and validation curve; the same numbers give the same bytes."""
    panels_of = [(block, keys) for block in summary.blocks if (keys := _keys(block, curves))]
    width, height = max((len(keys) for _, keys in panels_of), default=1), max(1, len(panels_of))
    looks = palette(summary.manifest.rows)

    def draw(drawing: "Figure") -> None:
        panels = drawing.subplots(height, width, squeeze=False)
        for (block, keys), line in zip(panels_of, panels, strict=False):
            for key, panel in zip(keys, line, strict=False):
                _panel(panel, block, key, curves, looks)
            for panel in line[len(keys) :]:
                panel.set_axis_off()
        if not panels_of:
            panels[0, 0].set_axis_off()
            panels[0, 0].text(0.5, 0.5, "no curves yet", ha="center")
        if any(len(entry.records) > 1 for block, _ in panels_of for entry in block.entries):
            drawing.supxlabel("line and band: mean ± one sample standard deviation over the seeds", fontsize=7)

    return svg((5.2 * width, HEIGHT * height), draw)


def _keys(block: Block, curves: Mapping[str, Curves]) -> list[str]:
    """The validation curves that a column's runs have, its own metric first."""
    runs = [curves[record.hash] for record in block.records if record.hash in curves]
    found = {key for run in runs for group in run.groups for key in group if key.startswith("valid/")}
    wanted = dict.fromkeys([*(f"valid/{metric.key}" for metric in block.metrics), "valid/loss"])
    return [key for key in wanted if key in found]


def _panel(panel: "Axes", block: Block, key: str, curves: Mapping[str, Curves], looks: Mapping[str, Look]) -> None:
    limits, ends = None, []
    # Diverged rows come last, so that the others set the limits; an exploding loss would make these useless.
    for entry in sorted(block.entries, key=lambda entry: entry.diverged > 0):
        updates, mean, std = band(entry, key, curves)
        if not len(updates):
            continue
        look = looks[entry.row.name]
        colour, dash = look.colour, (0, look.dash) if look.dash else "-"
        panel.plot(updates, mean, linestyle=dash, color=colour, linewidth=1.4)
        ends.append((updates[-1], mean[-1], _label(entry), colour))
        if std.any():
            panel.fill_between(updates, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        if entry.diverged:
            panel.plot(updates[-1:], mean[-1:], "x", color=colour)
        else:
            limits = panel.get_ylim()
    if limits:
        panel.set_ylim(limits)
    label_ends(panel, ends, HEIGHT - 0.7)
    panel.set_title(drawn(block.column.label), loc="left")
    panel.set_xlabel("update")
    name = key.removeprefix("valid/")
    panel.set_ylabel(f"validation {quantity(name)}")
    panel.grid(alpha=0.25, linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)


def quantity(name: str) -> str:
    """The quantity that a validation curve shows, with its unit."""
    return METRICS[name].label if name in METRICS else {"loss": "loss, nats"}.get(name, name)


def _label(entry: Entry) -> str:
    diverged = f" ({entry.diverged} of {len(entry.records)} diverged)" if entry.diverged else ""
    return entry.row.label + diverged


def band(entry: Entry, key: str, curves: Mapping[str, Curves]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Updates, mean and sample standard deviation (0 for one seed) of a curve, over the seeds that got that far.

    A seed's curve is interpolated linearly between its thinned points.
    """
    seeds = [np.array(points).T for record in entry.records if (points := _points(curves.get(record.hash), key))]
    updates: np.ndarray = np.unique(np.concatenate([line[0] for line in seeds])) if seeds else np.array([])
    values = [np.interp(updates, line[0], line[1], left=math.nan, right=math.nan) for line in seeds]
    found = [column[~np.isnan(column)] for column in np.array(values).T]
    mean = np.array([np.mean(column) for column in found])
    std = np.array([np.std(column, ddof=1) if len(column) > 1 else 0.0 for column in found])
    return updates, mean, std


def _points(run: Curves | None, key: str) -> Sequence[tuple[int, float]]:
    for group in run.groups if run else []:
        if key in group:
            pairs = zip(group["update"], group[key], strict=True)
            return [(int(update), value) for update, value in pairs if update is not None and value is not None]
    return []
