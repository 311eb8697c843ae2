"""curves.svg: validation curves, mean ± std over seeds, with each row's name at the end of its line."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from skipln.report.ends import label_ends
from skipln.report.picture import SMALLEST, Picture, plain
from skipln.tables.metrics import METRICS
from skipln.tables.presentation.palette import Look, palette
from skipln.tables.statistics.summary import Block, Entry, Summary
from skipln.tables.store import Curves, Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 1.5  # inches, of a panel at least; it grows with the names beside it
AROUND = 0.6  # inches that a panel's title and axis take
WIDE = 100  # a loss whose largest value is more than this times its smallest has a logarithmic axis


def figure(summary: Summary, curves: Mapping[str, Curves]) -> Picture:
    """One panel per column and validation curve, one below the other."""
    panels_of = [(block, key) for block in summary.blocks for key in _keys(block, curves)]
    heights = [panel_height(len(block.entries)) for block, _ in panels_of] or [HEIGHT]
    looks = palette(summary.manifest.rows)

    def fill(drawing: "Figure") -> None:
        panels = drawing.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for (block, key), panel, height in zip(panels_of, panels, heights, strict=False):
            _panel(panel, block, key, curves, looks, height)
        if not panels_of:
            panels[0].set_axis_off()
            panels[0].text(0.5, 0.5, "no curves yet", ha="center")
        if said := "\n".join(_said([entry for block, _ in panels_of for entry in block.entries])):
            drawing.supxlabel(said)

    return Picture(sum(heights) + AROUND * len(heights) + 0.3, fill)


def panel_height(names: int) -> float:
    """High enough, in inches, for so many names one above the other."""
    return max(HEIGHT, 1.2 * SMALLEST / 72 * names)


def _said(entries: Sequence[Entry]) -> list[str]:
    said = []
    if any(len(entry.records) > 1 for entry in entries):
        said.append("line and band: mean ± one sample standard deviation over seeds")
    if any(entry.diverged for entry in entries):
        said.append("× k/n: k of n runs diverged")
    return said


def _keys(block: Block, curves: Mapping[str, Curves]) -> list[str]:
    """The validation curves that a column's runs have, its own metric first."""
    runs = [curves[record.hash] for record in block.records if record.hash in curves]
    found = {key for run in runs for group in run.groups for key in group if key.startswith("valid/")}
    wanted = dict.fromkeys([*(f"valid/{metric.key}" for metric in block.metrics), "valid/loss"])
    return [key for key in wanted if key in found]


def _panel(
    panel: "Axes", block: Block, key: str, curves: Mapping[str, Curves], looks: Mapping[str, Look], height: float
) -> None:
    limits, ends = None, []
    # Diverged rows come last, so that the others set the limits; an exploding loss would make these useless.
    for entry in sorted(block.entries, key=lambda entry: entry.diverged > 0):
        updates, mean, std = band(entry, key, curves)
        if not len(updates):
            continue
        look = looks[entry.row.name]
        colour, dash = look.colour, (0, look.dash) if look.dash else "-"
        panel.plot(updates, mean, linestyle=dash, color=colour, linewidth=1.2)
        ends.append((updates[-1], mean[-1], _label(entry), colour))
        if std.any() and not entry.diverged:  # what explodes has no spread worth a band
            panel.fill_between(updates, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        if entry.diverged:
            panel.plot(updates[-1:], mean[-1:], "x", color=colour, markersize=4)
        else:
            limits = panel.get_ylim()
    if limits:
        panel.set_ylim(limits)
        finished = [line for entry in block.entries if not entry.diverged for line in band(entry, key, curves)[1]]
        if key == "valid/loss" and 0 < WIDE * min(finished) < max(finished):
            panel.set_yscale("log")
            panel.set_ylim(min(finished) / 1.2, max(finished) * 1.2)
    label_ends(panel, ends, height)
    panel.set_title(plain(block.column.label), loc="left")
    panel.set_xlabel("update")
    panel.set_ylabel(f"validation {quantity(block.records, key.removeprefix('valid/'))}")
    long = max((last for last, *_ in ends), default=0) >= 10_000  # numbers of five digits need more room
    panel.locator_params(axis="x", nbins=2 if long else 4)
    panel.grid(alpha=0.25, linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)


def quantity(records: Sequence[Record], name: str) -> str:
    """What a validation curve of these runs shows, with its unit: "BLEU, 50 sentences" or "loss, nats"."""
    if name not in METRICS:
        return {"loss": "loss, nats"}.get(name, name)
    counts = {record.config.get("task", {}).get("valid_sentences") for record in records} - {None}  # None: of images
    (count,) = counts if len(counts) == 1 and METRICS[name].examples == "sentences" else (None,)
    return METRICS[name].label + (f", {count:,} sentences" if count else "")


def _label(entry: Entry) -> str:
    return entry.row.label + (f" × {entry.diverged}/{len(entry.records)}" if entry.diverged else "")


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
