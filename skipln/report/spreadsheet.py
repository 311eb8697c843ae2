"""Comma-separated values, for programs."""

import csv
import io
from collections.abc import Iterable, Sequence

from skipln.system.printing import one_line


def spreadsheet(lines: Iterable[Sequence[object]]) -> str:
    """The text of `lines`, whose first is a heading, with "\\n" line ends."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([_inert(cell) for cell in line] for line in lines)
    return file.getvalue()


def _inert(cell: object) -> object:
    """Put an apostrophe, which spreadsheets do not show, before a text that they would take for a formula."""
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
