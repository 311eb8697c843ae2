"""Pictures for the screen and for paper: the same bytes for the same drawing."""

import io
import re
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skipln.system.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

WIDTH = 3.5  # inches: a column of a paper, and a phone's screen
SMALLEST = 7.0  # points, of any text; a phone shows them 9 pixels high
SCREEN = 1.5  # times the size on paper where a screen has room: it is read from further away
STYLE: dict[Any, Any] = {
    "font.size": SMALLEST,
    "axes.titlesize": 8.0,
    "axes.labelsize": SMALLEST,
    "legend.fontsize": SMALLEST,
    "figure.labelsize": SMALLEST,
    "svg.hashsalt": "skipln",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # text is text, in embedded TrueType: type 3 is refused by many a publisher
}


@dataclass(frozen=True)
class Picture:
    """What `fill` draws on a figure that is `height` inches high and as wide as a column."""

    height: float
    fill: Callable[["Figure"], None]

    def svg(self) -> str:
        """For a page: as wide as there is room for, at most `SCREEN` times its size on paper."""
        text = _stable(self._saved("svg", {"Date": None, "Creator": None}).decode())
        return re.sub(r'(width|height)="([\d.]+)pt"', lambda m: f'{m[1]}="{SCREEN * float(m[2]):g}pt"', text, count=2)

    def pdf(self) -> bytes:
        """For a paper, at its size."""
        return self._saved("pdf", {"CreationDate": None, "Creator": None, "Producer": None})

    @contextmanager
    def drawn(self) -> "Iterator[Figure]":
        """The filled figure, under the settings that it has to be saved with."""
        import matplotlib  # slow to load, and no other command needs it
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with matplotlib.rc_context(STYLE):
            drawing = Figure(figsize=(WIDTH, self.height), layout="constrained")
            FigureCanvasAgg(drawing)
            self.fill(drawing)
            yield drawing

    def _saved(self, kind: str, metadata: dict[str, Any]) -> bytes:
        file = io.BytesIO()
        with self.drawn() as drawing:
            drawing.savefig(file, format=kind, metadata=metadata)
        return file.getvalue()


def _stable(text: str) -> str:
    """Name the clipping areas of an SVG by their written size.

    matplotlib names them by all digits, of which the solver behind the layout does not always give the same last one.
    """
    for name, area in re.findall(r'<clipPath id="(\w+)">\s*(<[^>]+>)', text):
        text = text.replace(name, f"p{sha256(area.encode()).hexdigest()[:10]}")
    return text


def write(pictures: Mapping[str, Picture], folder: Path, pdf: bool = False) -> list[Path]:
    """Write each of `pictures`, by name, as NAME.svg in `folder`, or as NAME.pdf; return the files."""
    paths = []
    for name, picture in pictures.items():
        paths.append(folder / f"{name}.{'pdf' if pdf else 'svg'}")
        with atomic_write(paths[-1]) as file:
            file.write(picture.pdf() if pdf else picture.svg().encode())
    return paths


def plain(words: str) -> str:
    """`words` as they are: matplotlib takes what stands between two dollars for mathematics."""
    return words.replace("$", r"\$")
