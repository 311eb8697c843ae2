"""Markdown that can be read on a terminal as well as rendered."""

import re
from collections.abc import Sequence

from skipln.report.document import Document, Section
from skipln.system.printing import one_line

_ELEMENT = re.compile(r"(\\*)<(?=[A-Za-z/!?])")  # with the backslashes before it, of which an odd one escapes it


def markdown(document: Document) -> str:
    """The whole page, ending in a newline."""
    parts = [inert(f"# {document.title}")]
    if document.overview:
        parts.append(aligned([[in_cell(words) for words in line] for line in document.overview]))
    for section in document.sections:
        parts.append(inert(f"## {section.heading}"))
        parts.append(_table(section))
    parts.append("\n".join(inert(f"- {subject}: {sentence}") for subject, sentence in document.notes))
    return "\n\n".join(parts) + "\n"


def _table(section: Section) -> str:
    lines = [[in_cell(words) for words in line] for line in section.lines]
    for line, column in section.bold:
        lines[line][column] = f"**{lines[line][column]}**"
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table padded to equal widths: the first column is left-aligned, the others right-aligned."""
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(lines[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def row(line: Sequence[str]) -> str:
        padded = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(padded)} |"

    return "\n".join([row(lines[0]), row(rule), *map(row, lines[1:])])


def in_cell(words: str) -> str:
    """`words` escaped for a table's cell, which a bar would end, as `inert` and with its backslashes.

    A backslash before a bar would undo the bar's escape.
    """
    return inert(words.replace("\\", "\\\\").replace("|", "\\|"))


def inert(words: str) -> str:
    """`words` on one line, escaped so that nothing opens an HTML element or a link; `code` stays code."""
    text = _ELEMENT.sub(lambda m: m[0] if len(m[1]) % 2 else f"{m[1]}\\<", one_line(words))
    return text.replace("](", "]\\(")
