"""The content of a printed page, before it is written in any format."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Lines = Sequence[Sequence[str]]  # a table: its heading, then one line per row, all of the same length


@dataclass(frozen=True)
class Section:
    """A table under its heading. `bold`: (line, column) of the cells in bold."""

    heading: str
    lines: Lines
    bold: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Document:
    """A title, an overview if there are several sections, the sections, and (subject, sentence) notes."""

    title: str
    sections: Sequence[Section]
    notes: Sequence[tuple[str, str]]
    overview: Lines = field(default_factory=list)
