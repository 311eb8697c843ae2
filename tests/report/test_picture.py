"""A picture's SVG is the same bytes although the layout's last digits are not always the same."""

import re

from matplotlib.figure import Figure

from skipln.report.picture import Picture


def drawn(nudge: float) -> str:
    def fill(drawing: Figure) -> None:
        drawing.set_layout_engine("none")
        for left in (0.1, 0.6):
            drawing.add_axes((left + nudge, 0.1, 0.3, 0.8)).plot([0, 1])

    return Picture(2.0, fill).svg()


def test_clipping_areas_are_named_by_their_written_size() -> None:
    assert drawn(0.0) == drawn(1e-12)
    names = re.findall(r'<clipPath id="(\w+)">', drawn(0.0))
    assert len(set(names)) == len(names) == 2
    assert all(f"url(#{name})" in drawn(0.0) for name in names)
    assert drawn(0.0) != drawn(1e-3)
