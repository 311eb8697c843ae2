"""A W&B Report of a table's curves: mean ± std over the seeds of each row."""

from typing import Any

import wandb
import wandb_workspaces.reports.v2 as wr

from skipln.configuration.schema import WandbTracker
from skipln.errors import UserError
from skipln.tables.manifest import Column, Manifest
from skipln.tracking.upload import PATIENCE, require_online

AXES = ("update", "wall")


def report(manifest: Manifest, scale: str, tracker: WandbTracker) -> wr.Report:
    """Make a Report with one section per column: validation metrics and losses over updates and seconds. Send nothing.

    Raises UserError if the table has no columns at `scale`.
    """
    columns = manifest.columns_at(scale)
    if not columns:
        there = ", ".join(name for name, found in manifest.columns.items() if found)
        raise UserError(f"{manifest.name} has no columns at scale {scale}: choose one of {there}")
    blocks: list[Any] = [wr.P(f"{manifest.name} at scale {scale}: the mean over seeds and one standard deviation.")]
    for column in columns:
        blocks += [wr.H2(column.label), _grid(manifest, scale, column)]
    return wr.Report(
        project=tracker.project,
        entity=tracker.entity or "",
        title=f"{manifest.name} ({scale})",
        description=manifest.title,
        blocks=blocks,
    )


def specification(page: wr.Report) -> str:
    """The Report as the JSON that would be sent to the server."""
    return page._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1)


def save(page: wr.Report) -> str:
    """Save a draft of the Report in its project; return its address. Raises UserError without a key."""
    require_online()
    if not page.entity and (own := wandb.Api(timeout=PATIENCE).default_entity):
        page.entity = own
    page.save(draft=True)
    return page.url


def _grid(manifest: Manifest, scale: str, column: Column) -> wr.PanelGrid:
    metrics = [f"valid/{metric.key}" for metric in manifest.metrics_of(column)]
    keys = dict.fromkeys([*metrics, "valid/loss", "train/loss"])
    runs = f"Config('table') == '{manifest.name}' and Tags() in ['{scale}/{column.name}']"
    return wr.PanelGrid(
        runsets=[wr.Runset(name=column.label, groupby=["Group"], filters=runs)],
        panels=[_plot(key, axis) for key in keys for axis in AXES],
    )


def _plot(key: str, axis: str) -> wr.LinePlot:
    return wr.LinePlot(
        title=f"{key} over {axis}",
        x=axis,
        y=[key],
        groupby="Group",
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        smoothing_factor=0,
    )
