"""Drawings as the text of an SVG; the same drawing gives the same bytes."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def svg(size: tuple[float, float], draw: Callable[["Figure"], None]) -> str:
    """The text of an SVG of `size` inches that `draw` fills; the same drawing gives the same bytes."""
    import matplotlib  # slow to load, and no other command needs it
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "skipln", "svg.fonttype": "path", "font.size": 9}):
        drawing = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(drawing)
        draw(drawing)
        file = io.StringIO()
        drawing.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def drawn(words: str) -> str:
    """Escape `words` for matplotlib, which takes text between two dollars for mathematics."""
    return words.replace("$", r"\$")
