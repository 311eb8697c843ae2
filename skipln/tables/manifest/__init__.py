"""What a table consists of: experiments/<table>.yaml, checked strictly."""

from skipln.tables.manifest.nodes import SCALES, Column, Line, Name, Node, Published, Row, Scale
from skipln.tables.manifest.overrides import Override, checked_override, harmless
from skipln.tables.manifest.reading import load, names, read
from skipln.tables.manifest.table import Manifest

__all__ = [
    "SCALES",
    "Column",
    "Line",
    "Manifest",
    "Name",
    "Node",
    "Override",
    "Published",
    "Row",
    "Scale",
    "checked_override",
    "harmless",
    "load",
    "names",
    "read",
]
