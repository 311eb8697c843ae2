"""One picture of a model: the gradient against depth at λ = 2, for the paper's four forms, on one axis."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skipln.figures.drawing import LABELS, along, dress, nets, places, plot
from skipln.figures.forms import Setting, label, looks, ordered
from skipln.figures.manifest import Model
from skipln.figures.numbers import SiteRow
from skipln.report.ends import label_ends
from skipln.report.picture import SMALLEST, Picture, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAM = 2.0
FORMS: tuple[Setting, ...] = (("skip", None), ("xskip", LAM), ("xskip_ln", LAM), ("rskip_ln", LAM))
HEIGHT = 2.4  # inches


def overview(rows: Sequence[SiteRow], model: Model) -> Picture:
    """The deepest net of `model` at the start. x counts the sites behind each, so lines run as gradients do.

    A band is one geometric standard deviation. A line breaks where a stack ends (an encoder, a ResNet's stage).
    """
    rows = [row for row in rows if row.model == model.name and row.state == "start" and (row.form, row.lam) in FORMS]
    depth = max((row.depth for row in rows), default=0)
    rows = [row for row in rows if row.depth == depth]

    def fill(drawing: "Figure") -> None:
        panel = drawing.subplots()
        if not rows:
            panel.set_axis_off()
            panel.text(0.5, 0.5, f"no net at λ = {LAM:g} is measured", ha="center")
            return
        found, look = nets(rows), looks(FORMS)
        ends = []
        for setting in ordered(setting for setting, _ in found):
            net = found[setting, "start"]
            dash = (0, look[setting].dash) if look[setting].dash else "-"
            plot(panel, net, "stream", look[setting].colour, dash, width=1.8)
            if net[0].stream:
                ends.append((places(net, "stream")[0], net[0].stream, label(*setting), look[setting].colour))
        dress(panel)
        title = f"{plain(model.label)}\n{depth} {plain(model.unit)}, at the start"
        panel.set_title(title, loc="left", fontsize=SMALLEST)
        panel.set_xlabel(f"{along('stream')}: output → input")
        panel.set_ylabel(f"{LABELS['stream']} (nats)")
        label_ends(panel, ends, HEIGHT - 0.7)

    return Picture(HEIGHT, fill)
