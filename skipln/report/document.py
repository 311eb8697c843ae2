"""What a printed page says, before it is written in any format."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Lines = Sequence[Sequence[str]]  # of a table: its heading, then a line a row, all of one length


@dataclass(frozen=True)
class Section:
    """A table under its heading. `bold`: (line, column) of the cells that stand out."""

    heading: str
    lines: Lines
    bold: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Document:
    """A title, an overview where there are several sections, the sections, and (subject, sentence) notes."""

    title: str
    sections: Sequence[Section]
    notes: Sequence[tuple[str, str]]
    overview: Lines = field(default_factory=list)
