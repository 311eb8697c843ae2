"""Comma-separated values, for whatever reads numbers."""

import csv
import io
from collections.abc import Iterable, Sequence

from skipln.system.printing import one_line


def spreadsheet(lines: Iterable[Sequence[object]]) -> str:
    """The text of `lines`, the first a heading, with "\\n" line ends."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([_inert(cell) for cell in line] for line in lines)
    return file.getvalue()


def _inert(cell: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe, which it shows to nobody."""
    if not isinstance(cell, str) or _is_number(cell):
        return cell
    line = one_line(cell)
    return f"'{line}" if line.startswith(("=", "+", "-", "@", " ")) else line


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
