"""Your table beside the published one, cell by cell."""

from skipln.report.document import Document, Section
from skipln.report.numbers import EMPTY
from skipln.tables.metrics import Metric
from skipln.tables.presentation.text import value
from skipln.tables.statistics.beside import Place, place
from skipln.tables.statistics.summary import Block, Entry, Summary

NOTE = (
    "mean ± sample standard deviation (n runs) of both; inside [a, b]: the mean of your runs lies in the interval that "
    "would contain the mean of as many further runs of ours with a probability of 95 %, given how much the published "
    "ones vary; one cell in twenty lies outside by chance"
)
WORDS = {
    "inside": "inside",
    "outside": "OUTSIDE",
    "as diverged": "diverged, as ours did",
    "n too small": "n too small",
    "other data": "not comparable: other data",
    "the same runs": "these are the published runs",
    "": EMPTY,
}


def beside(yours: Summary, published: Summary) -> Document:
    """Compare every column on its first metric. Cells of a side without runs are empty."""
    pairs = zip(yours.blocks, published.blocks, strict=True)
    return Document(
        title=f"{yours.manifest.name} · {yours.scale}: yours beside the published",
        sections=[_section(block, other) for block, other in pairs],
        notes=[("Read", NOTE)],
    )


def _section(block: Block, other: Block) -> Section:
    metric = block.metrics[0]
    heading = ["", f"{metric.label}, yours", f"{metric.label}, published", "yours lie"]
    lines = [
        _line(block, entry, other, theirs, metric) for entry, theirs in zip(block.entries, other.entries, strict=True)
    ]
    return Section(block.column.label, [heading, *lines])


def _line(block: Block, entry: Entry, other: Block, theirs: Entry, metric: Metric) -> list[str]:
    found = place(entry.records, theirs.records, metric.key)
    return [entry.row.label, value(block, entry, metric), value(other, theirs, metric), _said(found, metric)]


def _said(found: Place, metric: Metric) -> str:
    words = WORDS[found.verdict]
    if found.interval is None:
        return words
    low, high = (f"{end:.{metric.decimals}f}" for end in found.interval)
    return f"{words} [{low}, {high}]"
