"""The panels of a figure: a quantity against the residual site, one row per connection, one column per depth."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from skipln.figures.forms import Setting, distinct, families, label, looks
from skipln.figures.manifest import Manifest, Model
from skipln.figures.numbers import SiteRow
from skipln.report.ends import label_ends
from skipln.report.picture import SMALLEST, Picture, plain
from skipln.tables.presentation.palette import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "stream": "gradient of the stream, ‖∂loss/∂y‖",
    "branch": "gradient of the branch's parameters, ‖∂loss/∂θ‖",
    "share": "the branch's share, rms F(x) / rms x",
}
UNITS = {"stream": "nats", "branch": "nats", "share": "ratio"}  # y, θ and x have no unit
DASHES: dict[str, Any] = {"start": "-", "trained": (0, (2, 1.2))}
LAW = "#555555"
HEIGHT = 0.85  # inches, of one panel


def draw(rows: Sequence[SiteRow], manifest: Manifest, model: Model, quantity: str) -> Picture:
    """One model and quantity; all panels share their scales, and bands show one geometric standard deviation.

    Gradients are drawn as they flow, back from the output; the share is drawn from the input on. For the forms in
    `manifest.law`, the law λ^(sites that follow) is drawn over the gradients. λ stands at the ends of the deepest nets'
    lines.
    """
    rows = [row for row in rows if row.model == model.name]
    shown = distinct({(row.form, row.lam) for row in rows})
    lines, depths = families(shown), sorted({row.depth for row in rows})
    look = looks(shown)

    def fill(drawing: "Figure") -> None:
        shape = max(1, len(lines)), max(1, len(depths))
        panels = drawing.subplots(*shape, squeeze=False, sharex="col", sharey=True)
        for first, ((family, settings), line) in enumerate(zip(lines.items(), panels, strict=False)):
            for depth, panel in zip(depths, line, strict=True):
                here = [row for row in rows if row.depth == depth and (row.form, row.lam) in settings]
                _panel(panel, here, quantity, look, manifest.law if quantity == "stream" else ())
                over = [] if first else [f"{depth} {plain(model.unit)}"]
                name = label(family, None) if panel is line[0] else " "
                panel.set_title("\n".join([*over, name]), loc="left", fontsize=SMALLEST, pad=3)
        for settings, line in zip(lines.values(), panels, strict=False):  # limits are known once all is drawn
            deepest = [row for row in rows if row.depth == depths[-1] and (row.form, row.lam) in settings]
            _name(line[-1], deepest, quantity, look)
        drawing.supxlabel(along(quantity))
        drawing.supylabel(f"{LABELS[quantity]} ({UNITS[quantity]})")
        drawing.legend(handles=_legend(model, quantity), loc="outside upper left", frameon=False)

    return Picture((HEIGHT + 0.25) * max(1, len(lines)) + 1.2, fill)


def along(quantity: str) -> str:
    """The label of the sites' axis."""
    return "residual site, from the input to the output" if quantity == "share" else "residual sites behind this one"


def law(lam: float, sites: int) -> list[float]:
    """λ^(sites that follow) for each site of a stack: ‖∂loss/∂y‖ relative to the last site's, xSkip, silent branches.

    y = λx + F(x) has ∂y/∂x = λ + F′(x), and the gradient through a stack is the product of these factors. With F′ = 0
    it is λ^sites (He et al. 2016b, section 3, on scaled shortcuts).
    """
    return [lam ** (sites - 1 - site) for site in range(sites)]


def places(rows: Sequence[SiteRow], quantity: str) -> list[int]:
    """The positions of a net's sites on the axis: the number of sites behind each, or its own number from 1."""
    return [row.site + 1 if quantity == "share" else rows[-1].site - row.site for row in rows]


def plot(panel: "Axes", net: Sequence[SiteRow], quantity: str, colour: str, dash: Any, width: float = 1.2) -> None:
    """Draw a net's line, broken between its stacks, with the band of its n values."""
    at = dict(zip((row.site for row in net), places(net, quantity), strict=True))
    for _, stack in groupby(net, key=lambda row: row.stack):
        own = list(stack)
        x, values = [at[row.site] for row in own], [getattr(row, quantity) or math.nan for row in own]
        panel.plot(x, values, marker="." if len(own) == 1 else None, linestyle=dash, color=colour, linewidth=width)
        spread = [getattr(row, f"{quantity}_sd") or 1.0 for row in own]
        if max(spread) > 1:
            low, high = ([v * s**sign for v, s in zip(values, spread, strict=True)] for sign in (-1, 1))
            panel.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def dress(panel: "Axes") -> None:
    """Give a panel the axes that every panel of a figure has."""
    panel.set_yscale("log")
    panel.minorticks_off()  # they take most of the time and of the file
    panel.grid(alpha=0.25, linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)


def nets(rows: Sequence[SiteRow]) -> dict[tuple[Setting, str], list[SiteRow]]:
    """Group the rows into nets: the sites of each setting and state."""
    found: dict[tuple[Setting, str], list[SiteRow]] = {}
    for row in rows:
        found.setdefault(((row.form, row.lam), row.state), []).append(row)
    return found


def _panel(
    panel: "Axes", rows: Sequence[SiteRow], quantity: str, look: dict[Setting, Look], laws: Sequence[str]
) -> None:
    for (setting, state), net in nets(rows).items():
        plot(panel, net, quantity, look[setting].colour, DASHES[state])
        if setting[0] in laws and state == "start":
            _draw_law(panel, net)
    dress(panel)


def _name(panel: "Axes", rows: Sequence[SiteRow], quantity: str, look: dict[Setting, Look]) -> None:
    """Write λ at the end of each line that shows the start."""
    ends = []
    for ((form, lam), state), net in nets(rows).items():
        end = net[-1] if quantity == "share" else net[0]
        value = getattr(end, quantity)
        if state == "start" and value:
            x = places(net, quantity)[net.index(end)]
            ends.append((x, value, form if lam is None else f"λ={lam:g}", look[form, lam].colour))
    label_ends(panel, ends, HEIGHT)


def _draw_law(panel: "Axes", net: Sequence[SiteRow]) -> None:
    """Draw the law through the gradient behind a stack's last site, which the stack itself has not changed."""
    at = dict(zip((row.site for row in net), places(net, "stream"), strict=True))
    for _, group in groupby(net, key=lambda row: row.stack):
        stack = list(group)
        lam, end = stack[0].lam, stack[-1].stream
        if lam is not None and end and len(stack) > 1:
            values = [end * factor for factor in law(lam, len(stack))]
            panel.plot([at[row.site] for row in stack], values, linestyle=":", color=LAW, linewidth=1.2, zorder=3)


def _legend(model: Model, quantity: str) -> list:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    grey = "#666666"
    after = "after a short training" if model.of is None else "trained"
    lines: list = [
        Line2D([], [], color=grey, label="at the start"),
        Line2D([], [], color=grey, linestyle=DASHES["trained"], label=after),
        Patch(color=grey, alpha=0.25, linewidth=0, label="± 1 geometric standard deviation"),
    ]
    if quantity == "stream":
        lines.append(Line2D([], [], color=LAW, linestyle=":", linewidth=1.2, label="the law λ^(sites that follow)"))
    return lines
