"""evidence.svg: every tested difference with its interval, in units of the smallest difference its test can detect."""

import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from scripts.evidence.comparing import Claim, Comparison
from scripts.evidence.page import place
from skipln.report.picture import Picture, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"for": "#1b7837", "against": "#b2182b", "open": "#5f5f66"}
MARKERS = {"for": "o", "against": "s", "open": "d"}
EDGE = 4  # of the axis; the line of a difference beyond it continues to the edge
LINE, ABOVE, BELOW = 0.135, 0.33, 0.45  # inches: of a comparison or a heading, of a claim's title, of the axis
ON_PAPER: dict[str, Any] = {
    "facecolor": "white",
    "linewidth": 0,
    "pad": 0.5,
}  # hides what is behind a text
LETTERS = 60  # of a title's line


def picture(claims: Sequence[Claim], found: Sequence[Comparison]) -> Picture:
    """One panel per claim and one line per comparison; the claim expects differences to the right.

    The axis is the difference divided by the smallest one that its test finds with a probability of 80 %, because BLEU
    and error have no other common unit. Comparisons in which runs diverged have no interval; they are at the edge, with
    their counts.
    """
    panels = [(claim, [o for o in found if o.claim.name == claim.name and o.p is not None]) for claim in claims]
    lines = [(claim, _lines(own)) for claim, own in panels if own]
    heights = [len(own) for _, own in lines] or [3]

    def fill(drawing: "Figure") -> None:
        axes = drawing.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights}, sharex=True)[
            :, 0
        ]
        if not lines:
            axes[0].set_axis_off()
            axes[0].text(0.5, 0.5, "no comparison has three runs on either side", ha="center")
            return
        for (claim, own), axis in zip(lines, axes, strict=True):
            _panel(axis, claim, own)
        axes[-1].set_xlabel("← against the claim     for it →\ndifference / smallest one detectable")

    return Picture(LINE * sum(heights) + ABOVE * len(heights) + BELOW, fill)


def _lines(own: Sequence[Comparison]) -> list[Comparison | str]:
    """The comparisons, before those of each place its name."""
    lines: list[Comparison | str] = []
    for where, group in groupby(own, key=place):
        lines += [where, *group]
    return lines


def _panel(axis: "Axes", claim: Claim, lines: Sequence[Comparison | str]) -> None:
    axis.axvline(0, color="black", linewidth=0.7)
    axis.set_xlim(-EDGE, EDGE)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    for at, line in enumerate(lines):
        if isinstance(line, str):
            heading = axis.annotate(
                plain(line), (0.005, at), xycoords=("figure fraction", "data"), va="center", color="#5f5f66"
            )
            heading.set_bbox(ON_PAPER)
            heading.set_in_layout(False)
        else:
            _draw(axis, at, line)
            axis.text(1.05, at, f"{line.n[0]}, {line.n[1]}", transform=axis.get_yaxis_transform(), va="center")
    axis.text(1.05, 0, "n", transform=axis.get_yaxis_transform(), va="center")
    named = [(at, _label(line)) for at, line in enumerate(lines) if not isinstance(line, str)]
    axis.set_yticks([at for at, _ in named], [name for _, name in named])
    title = axis.annotate(
        plain(_wrapped(claim.claim)), (0.005, -0.9), xycoords=("figure fraction", "data"), va="bottom"
    )
    title.set_fontweight("bold")
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(left=False)


def _draw(axis: "Axes", line: int, one: Comparison) -> None:
    colour, marker = COLOURS[one.says], MARKERS[one.says]
    if one.test is None:
        share = one.diverged[0] / one.n[0] - one.diverged[1] / one.n[1]
        at = 0.95 * EDGE * (1 if (share < 0) == (one.claim.expect == "better") else -1) if share else 0.0
        axis.plot([at], [line], marker, color=colour, markersize=3.5)
        first, second = (f"{bad}/{n}" for bad, n in zip(one.diverged, one.n, strict=True))
        side = "right" if at > 0 else "left"
        said = axis.text(at * 0.92, line, f"{first}, {second} diverged", va="center", ha=side)
        said.set_bbox(ON_PAPER)
        return
    better = 1 if (one.metric.better == "higher") == (one.claim.expect == "better") else -1
    unit = better * one.test.detectable
    low, middle, high = one.test.low / unit, one.test.difference / unit, one.test.high / unit
    axis.plot([low, high], [line, line], color=colour, linewidth=1.2)
    axis.plot([middle], [line], marker, color=colour, markersize=3.5)


def _label(one: Comparison) -> str:
    """Such as "rSkip+LN λ=2 − xSkip+LN λ=1"; what a row's name has in brackets is left to the page."""
    return plain(" − ".join(row.label.split(" (")[0] for row in one.rows))


def _wrapped(title: str) -> str:
    """In lines that fit, "λ = 1" in one of them."""
    return textwrap.fill(title.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"), LETTERS)
