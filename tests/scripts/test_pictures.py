"""Every published picture can be read on a phone and fits a column; another process draws the same bytes."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from scripts.pages.pictures import published
from skipln.report.picture import SCREEN, SMALLEST, WIDTH, Picture, write
from skipln.system.places import RESULTS

PUBLISHED = {folder / name: picture for folder, found in published() for name, picture in found.items()}
LAID_OUT = [path for path in PUBLISHED if not path.name.endswith("-branch")]  # its layout is that of -stream
PHONE = 360 - 2 * 16  # width in pixels that a picture has on a phone


def test_every_picture_in_results_is_drawn_by_the_script() -> None:
    assert {path.with_suffix("") for path in RESULTS.rglob("*.svg")} == set(PUBLISHED)


@pytest.mark.parametrize("path", LAID_OUT, ids=lambda path: str(path.relative_to(RESULTS)))
def test_text_can_be_read(path: Path) -> None:
    """No text leaves the paper, covers another, or is smaller than 9 pixels on a phone (exponents: 0.7 of that)."""
    assert PHONE * SMALLEST / (72 * WIDTH) >= 9
    with PUBLISHED[path].drawn() as drawing:
        drawing.canvas.draw()
        texts = [text for text in drawing.findobj(Text) if text.get_visible() and text.get_text().strip()]
        hidden = _hidden(drawing)
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts if id(text) not in hidden]
        paper = drawing.bbox
    assert min(text.get_fontsize() for text in texts) >= SMALLEST
    for said, box in boxes:
        assert box.x0 >= -1 and box.x1 <= paper.x1 + 1 and box.y0 >= -1 and box.y1 <= paper.y1 + 1, said
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        along = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert across <= 1 or along <= 0.25 * SMALLEST / 72 * 100, (one, other)


def _hidden(drawing: Figure) -> set[int]:
    """Return the ids of labels whose ticks are beyond the limits of their axis. They exist, but are not drawn."""
    found: set[int] = set()
    for axis in (axis for axes in drawing.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                found |= {id(tick.label1), id(tick.label2)}
    return found


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: str(path.relative_to(RESULTS)))
def test_pictures_are_as_wide_as_a_column(path: Path) -> None:
    """On a screen with enough room they are one and a half times as wide."""
    head = path.with_suffix(".svg").read_text("utf-8")[:1000]
    width, shown = re.search(r'viewBox="0 0 ([\d.]+) ', head), re.search(r'width="([\d.]+)pt"', head)
    assert width and float(width[1]) == 72 * WIDTH
    assert shown and float(shown[1]) == SCREEN * 72 * WIDTH


def test_a_pdf_contains_its_fonts_and_no_date(tmp_path: Path) -> None:
    picture = PUBLISHED[RESULTS / "evidence"]
    (path,) = write({"evidence": picture}, tmp_path, pdf=True)
    content = path.read_bytes()
    assert content.startswith(b"%PDF-") and path.name == "evidence.pdf"
    assert b"/FontFile2" in content and b"/Type3" not in content and b"CreationDate" not in content
    assert b"/MediaBox [ 0 0 252 " in content  # 3.5 inches
    assert picture.pdf() == content


def test_another_process_draws_the_same_bytes(tmp_path: Path) -> None:
    """Neither PDF nor SVG depends on the order of a set or the time of day."""
    script = (
        "import sys; from pathlib import Path; from scripts.pages.pictures import published\n"
        "from skipln.report.picture import write\n"
        "found = next(found for folder, found in published() if folder.name == 'table10')\n"
        "[write(found, Path(sys.argv[1]), pdf=pdf) for pdf in (False, True)]"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env={"PYTHONHASHSEED": "7"})
    ours: Picture = PUBLISHED[RESULTS / "demo" / "table10" / "curves"]
    assert (tmp_path / "curves.pdf").read_bytes() == ours.pdf()
    assert (tmp_path / "curves.svg").read_text("utf-8") == ours.svg()
