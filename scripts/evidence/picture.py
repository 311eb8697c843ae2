"""evidence.svg: every tested difference with its interval, in units of the smallest difference its test can detect."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scripts.evidence.comparing import Claim, Comparison
from scripts.evidence.page import place
from skipln.report.svg import drawn, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"for": "#1b7837", "against": "#b2182b", "open": "#777777"}
EDGE = 4  # of the axis; the line of a difference beyond it continues to the edge
MARKERS = {"for": "o", "against": "s", "open": "d"}


def picture(claims: Sequence[Claim], found: Sequence[Comparison]) -> str:
    """One panel per claim and one line per comparison; the claim expects differences to the right.

    The axis is the difference divided by the smallest one that its test finds with a probability of 80 %, because BLEU
    and error have no other common unit. Comparisons in which runs diverged have no interval; they are at the edge, with
    their counts.
    """
    panels = [(claim, [o for o in found if o.claim.name == claim.name and o.p is not None]) for claim in claims]
    panels = [(claim, own) for claim, own in panels if own]
    heights = [len(own) + 1.2 for _, own in panels] or [1]

    def draw(drawing: "Figure") -> None:
        axes = drawing.subplots(
            max(1, len(panels)), 1, squeeze=False, gridspec_kw={"height_ratios": heights}, sharex=True
        )
        if not panels:
            axes[0, 0].set_axis_off()
            axes[0, 0].text(0.5, 0.5, "no comparison has three runs on either side", ha="center")
            return
        for (claim, own), axis in zip(panels, axes[:, 0], strict=True):
            for line, one in enumerate(own):
                _draw(axis, line, one)
            axis.axvline(0, color="black", linewidth=0.7)
            axis.set_xlim(-EDGE, EDGE)
            axis.set_ylim(len(own) - 0.4, -0.6)
            axis.set_yticks(range(len(own)), [_label(one) for one in own], fontsize=7)
            axis.set_title(drawn(claim.claim), loc="right", fontsize=8)
            axis.spines[["top", "right", "left"]].set_visible(False)
            axis.tick_params(left=False)
        axes[-1, 0].set_xlabel("against the claim  ←  difference / smallest detectable difference  →  for the claim")

    return svg((9.0, 0.22 * sum(heights) + 0.9), draw)


def _draw(axis: "Axes", line: int, one: Comparison) -> None:
    colour, marker = COLOURS[one.says], MARKERS[one.says]
    if one.test is None:
        share = one.diverged[0] / one.n[0] - one.diverged[1] / one.n[1]
        at = 0.95 * EDGE * (1 if (share < 0) == (one.claim.expect == "better") else -1) if share else 0.0
        axis.plot([at], [line], marker, color=colour, markersize=4)
        text = f"{one.diverged[0]} of {one.n[0]} diverged, {one.diverged[1]} of {one.n[1]} of the other"
        axis.text(at * 0.95, line, text, fontsize=6, va="center", ha="right" if at > 0 else "left")
        return
    better = 1 if (one.metric.better == "higher") == (one.claim.expect == "better") else -1
    unit = better * one.test.detectable
    low, middle, high = one.test.low / unit, one.test.difference / unit, one.test.high / unit
    axis.plot([low, high], [line, line], color=colour, linewidth=1.2)
    axis.plot([middle], [line], marker, color=colour, markersize=4)


def _label(one: Comparison) -> str:
    return drawn(f"{' − '.join(row.label for row in one.rows)}  ({place(one)}; n={one.n[0]}, {one.n[1]})")
