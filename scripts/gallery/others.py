"""What docs/parity.md says of other packages: with which a connection was compared, and where their code differs."""

import re
from collections.abc import Iterator

from skipln.system.places import ROOT

PAGE = ROOT / "docs" / "parity.md"
_ROW = re.compile(r"^\| (?P<theirs>[^|]+) \| (?P<ours>[^|]+) \| (?P<how>[^|]+) \|$", re.MULTILINE)
_POINT = re.compile(
    r"^- \*\*(?P<what>[^*]+)\*\* \((?P<ours>`[^)]*`)\): (?P<said>.+?)(?=^- |\Z)", re.MULTILINE | re.DOTALL
)


def compared(name: str) -> Iterator[str]:
    """Sentences such as "timm 1.0.31 `LayerScale`: all inputs", one for each row of the page's table."""
    for row in _ROW.finditer(PAGE.read_text("utf-8")):
        if name in names(row["ours"]):
            yield f"{row['theirs']}: {row['how'].removesuffix(', see below')}"


def differences(name: str) -> Iterator[str]:
    """Sentences such as "Gemma 3n: it has an RMSNorm behind …", one for each point of the page that names it."""
    for point in _POINT.finditer(PAGE.read_text("utf-8")):
        if name in names(point["ours"]):
            yield f"{point['what']}: {' '.join(point['said'].split())}"


def names(cell: str) -> list[str]:
    """Those in backticks."""
    return re.findall(r"`(\w+)`", cell)
