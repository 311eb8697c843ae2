"""The panels of a figure: a quantity against the residual site, one row a form, one column a λ."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from skipln.figures.manifest import Manifest, Model
from skipln.figures.numbers import SiteRow
from skipln.figures.points import label
from skipln.report.svg import drawn, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "stream": "gradient of the stream, ‖∂loss/∂y‖",
    "branch": "gradient of the branch's parameters, ‖∂loss/∂θ‖",
    "share": "the branch's share, rms F(x) / rms x",
}
COLOURS = ("#e69f00", "#56b4e9", "#0072b2", "#000000", "#cc79a7")  # of depths; Okabe & Ito
DASHES: dict[str, Any] = {"start": "-", "trained": (0, (2, 1.2))}
LAW = "#d55e00"
DECADES = 6


def draw(rows: Sequence[SiteRow], manifest: Manifest, model: Model, quantity: str) -> str:
    """The SVG of one model and quantity; over the gradients of the forms in `manifest.law`, the law λ^(sites left)."""
    rows = [row for row in rows if row.model == model.name]
    forms = sorted({row.form for row in rows})
    colours = dict(zip(sorted(model.depths), COLOURS, strict=False))

    def fill(drawing: "Figure") -> None:
        panels = drawing.subplots(max(1, len(forms)), len(manifest.lams), squeeze=False, sharex=True, sharey="row")
        for form, line in zip(forms, panels, strict=False):
            for place, panel in enumerate(line):
                here = [row for row in rows if row.form == form and _column(row.lam, manifest.lams) == place]
                _panel(panel, here, quantity, colours, quantity == "stream" and form in manifest.law)
            _widen(line)
        drawing.supxlabel("residual site, from the input to the output", fontsize=9)
        drawing.supylabel(LABELS[quantity], fontsize=9)
        drawing.legend(
            handles=_legend(model, colours, quantity), loc="outside upper center", frameon=False, ncols=len(colours) + 3
        )

    return svg((2.5 * len(manifest.lams) + 0.6, 1.55 * len(forms) + 0.9), fill)


def law(lam: float, sites: int) -> list[float]:
    """λ^(sites that follow) of each site of a stack: ‖∂loss/∂y‖ of xSkip with silent branches, over the last one's.

    y = λx + F(x) has ∂y/∂x = λ + F′(x), so a stack's gradient is the product of those; with F′ = 0 it is λ^sites
    (He et al. 2016b, section 3, where the shortcut is scaled).
    """
    return [lam ** (sites - 1 - site) for site in range(sites)]


def _column(lam: float | None, lams: Sequence[float]) -> int:
    """A form without λ stands first in its row."""
    return 0 if lam is None else lams.index(lam)


def _panel(panel: "Axes", rows: Sequence[SiteRow], quantity: str, colours: dict[int, str], with_law: bool) -> None:
    if not rows:
        panel.set_axis_off()
        return
    for (depth, state), line in groupby(rows, key=lambda row: (row.depth, row.state)):
        for stack in _stacks(line):
            sites, values = [row.site + 1 for row in stack], [getattr(row, quantity) or math.nan for row in stack]
            dot = "." if len(stack) == 1 else None
            panel.plot(sites, values, marker=dot, linestyle=DASHES[state], color=colours[depth], linewidth=1.3)
            if with_law and state == "start":
                _draw_law(panel, stack)
    panel.set_yscale("log")
    panel.minorticks_off()  # most of the time and of the file
    panel.set_title(label(rows[0].form, rows[0].lam), loc="left", fontsize=9, pad=3)
    panel.grid(alpha=0.25, linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=7)


def _widen(line: Sequence["Axes"]) -> None:
    """A row's common axis, at its first panel that has anything, over DECADES at least: what is flat shall look so."""
    shown = [panel for panel in line if panel.axison]
    low, high = shown[0].get_ylim()
    spare = 10 ** (max(0.0, DECADES - math.log10(high / low)) / 2)
    shown[0].set_ylim(low / spare, high * spare)
    shown[0].tick_params(labelleft=True)


def _stacks(rows: Iterable[SiteRow]) -> list[list[SiteRow]]:
    return [list(stack) for _, stack in groupby(rows, key=lambda row: row.stack)]


def _draw_law(panel: "Axes", stack: Sequence[SiteRow]) -> None:
    """Through the gradient behind the stack's last site, which nothing of the stack has shaped."""
    lam, end = stack[0].lam, stack[-1].stream
    if lam is not None and end and len(stack) > 1:
        values = [end * factor for factor in law(lam, len(stack))]
        panel.plot([row.site + 1 for row in stack], values, linestyle=":", color=LAW, linewidth=1.6, zorder=3)


def _legend(model: Model, colours: dict[int, str], quantity: str) -> list:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=colour, linewidth=2, label=f"{depth} {drawn(model.unit)}")
        for depth, colour in colours.items()
    ]
    lines.append(Line2D([], [], color="#666666", label="at the start"))
    lines.append(
        Line2D(
            [],
            [],
            color="#666666",
            linestyle=DASHES["trained"],
            label="after a short training" if model.of is None else "trained",
        )
    )
    if quantity == "stream":
        lines.append(Line2D([], [], color=LAW, linestyle=":", linewidth=1.6, label="the law λ^(sites that follow)"))
    return lines
