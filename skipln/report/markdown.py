"""table.md: read on a terminal as well as rendered."""

import re
from collections.abc import Sequence

from skipln.printing import one_line
from skipln.tables.presentation import text
from skipln.tables.presentation.footnotes import footnotes, sources
from skipln.tables.statistics.summary import Block, Summary

_ELEMENT = re.compile(r"<(?=[A-Za-z/!?])")


def markdown(summary: Summary) -> str:
    """The whole page, ending in a newline."""
    parts = [inert(f"# {summary.manifest.name}: {summary.manifest.title}")]
    if len(summary.blocks) > 1:
        parts.append(aligned([[_escape(cell) for cell in line] for line in text.overview(summary)]))
    for block in summary.blocks:
        parts.append(inert(f"## {block.column.label}"))
        parts.append(_table(summary, block))
    parts.append("\n".join(inert(f"- {subject}: {sentence}") for subject, sentence in footnotes(summary)))
    return "\n\n".join(parts) + "\n"


def _table(summary: Summary, block: Block) -> str:
    lines = [text.header(block)]
    for entry in block.entries:
        cells = [_escape(cell) for cell in text.cells(block, entry, summary.manifest.baseline, sources(summary))]
        if entry.significant:
            at = text.difference_at(block)
            cells[at] = f"**{cells[at]}**"
        lines.append(cells)
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table padded to equal widths: the first column to the left, numbers to the right."""
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(lines[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def row(line: Sequence[str]) -> str:
        padded = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(padded)} |"

    return "\n".join([row(lines[0]), row(rule), *map(row, lines[1:])])


def _escape(cell: str) -> str:
    """A bar would end the cell, and a backslash before it would not let it be escaped."""
    return inert(cell.replace("\\", "\\\\").replace("|", "\\|"))


def inert(words: str) -> str:
    """`words` on one line, in which nothing opens an HTML element or a link; `code` stays code."""
    return _ELEMENT.sub(r"\\<", one_line(words)).replace("](", "]\\(")
