"""A table's cells as text, the same in Markdown, in LaTeX and on the page."""

from collections.abc import Callable, Sequence

from skipln.report.document import Document, Section
from skipln.report.numbers import EMPTY, p_value, signed
from skipln.tables.metrics import Metric
from skipln.tables.presentation.footnotes import footnotes, published_by, sources
from skipln.tables.statistics.summary import Block, Entry, Mean, Summary
from skipln.tables.store import Publication

NO_DATA = "no data"
LACKING = "lacking"  # a run that needs what only the user can give


def document(summary: Summary, publications: Sequence[Publication] = ()) -> Document:
    """The table with its footnotes and its publications, to be written in any format."""
    return Document(
        title=f"{summary.manifest.name}: {summary.manifest.title}",
        sections=[_section(summary, block) for block in summary.blocks],
        notes=[*footnotes(summary), *(("Published", published_by(one)) for one in publications)],
        overview=overview(summary) if len(summary.blocks) > 1 else [],
    )


def _section(summary: Summary, block: Block) -> Section:
    found = sources(summary)
    lines = [header(block), *(cells(block, entry, found) for entry in block.entries)]
    significant = (line for line, entry in enumerate(block.entries, 1) if entry.significant)
    return Section(block.column.label, lines, frozenset((line, difference_at(block)) for line in significant))


def header(block: Block) -> list[str]:
    """The headings of a block's table. Values that no row has, such as a test over runs, get no column."""
    labels = [metric.label for metric in block.metrics]
    test = " [95 %] (p over runs)" if _tested(block) else ""
    optional = ["detectable Δ"] * _tested(block) + [f"p over {block.metrics[0].examples}"] * _compared(block)
    searched = [", ".join(block.column.search), "diverged"] if block.column.search else []
    costs = list(_costs(block)) or [block.speed_label]
    return ["", *labels, *searched, f"Δ {labels[0]}{test}", *optional, "parameters", *costs, "published"]


def _costs(block: Block) -> dict[str, Callable[[Entry], float | None]]:
    """The costs of an update by heading, without those that no row has."""
    found: dict[str, Callable[[Entry], float | None]] = {
        "ms/update": lambda entry: entry.milliseconds,
        "MB kept": lambda entry: entry.kept and entry.kept / 1e6,
        "MB peak": lambda entry: entry.peak and entry.peak / 1e6,
    }
    return {name: of for name, of in found.items() if any(of(entry) for entry in block.entries)}


def cells(block: Block, entry: Entry, sources: Sequence[str]) -> list[str]:
    """An entry's cells under `header`, the difference without emphasis. `sources`: the footnotes of "published"."""
    metric = block.metrics[0]
    detectable = f"{entry.test.detectable:.{metric.decimals}f}" if entry.test else EMPTY
    over_examples = EMPTY if entry.adjusted_examples is None else p_value(entry.adjusted_examples)
    diverged, compared = entry.compared
    searched = [
        " and ".join(dict.fromkeys(entry.settings)) or EMPTY,
        f"{diverged} of {compared}" if compared else EMPTY,
    ]
    costs = [of(entry) for of in _costs(block).values()]
    return [
        entry.row.label,
        *(value(block, entry, metric) for metric in block.metrics),
        *(searched if block.column.search else []),
        "baseline" if entry.is_baseline else difference(entry, metric),
        *[detectable] * _tested(block),
        *[over_examples] * _compared(block),
        f"{entry.parameters / 1e6:.2f} M" if entry.parameters else EMPTY,
        *([_amount(cost) for cost in costs] or [f"{entry.speed:,.0f}" if entry.speed else EMPTY]),
        published(entry, metric, sources),
    ]


def _amount(cost: float | None) -> str:
    return EMPTY if cost is None else f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"


def _tested(block: Block) -> bool:
    return any(entry.test for entry in block.entries)


def _compared(block: Block) -> bool:
    return any(entry.comparison for entry in block.entries)


def difference_at(block: Block) -> int:
    """The index of the difference in `cells`."""
    return 1 + len(block.metrics) + (2 if block.column.search else 0)


def overview(summary: Summary) -> list[list[str]]:
    """The columns side by side, each with its first metric: a heading, then one line per row."""
    blocks = summary.blocks
    lines = [["", *(f"{block.column.label}, {block.metrics[0].label}" for block in blocks)]]
    for row in summary.manifest.rows:
        entries = [next((entry for entry in block.entries if entry.row is row), None) for block in blocks]
        pairs = zip(blocks, entries, strict=True)
        lines.append([row.label, *(value(b, e, b.metrics[0]) if e else EMPTY for b, e in pairs)])
    return lines


def value(block: Block, entry: Entry, metric: Metric) -> str:
    """mean ± std (n) and the number of diverged runs; – if no run is finished; "no data" if the block lacks its data.

    A mean over runs with different arithmetic says so.
    """
    runs, mean = len(entry.records), entry.values.get(metric.key)
    if block.lacks_data:
        return NO_DATA
    if entry.diverged == runs:
        return f"{runs} of {runs} diverged" if runs else EMPTY
    if mean is None:
        return EMPTY
    text = spread(mean, metric)
    if len(entry.arithmetic) > 1:
        text += f", MIXED {' and '.join(entry.arithmetic)}"
    return f"{text}, {entry.diverged} of {runs} diverged" if entry.diverged else text


def spread(mean: Mean, metric: Metric) -> str:
    if mean.std is None:
        return f"{mean.mean:.{metric.decimals}f} (n=1)"
    return f"{mean.mean:.{metric.decimals}f} ± {mean.std:.{metric.decimals}f} (n={mean.n})"


def difference(entry: Entry, metric: Metric) -> str:
    """The signed difference, with its interval and adjusted p if a test over runs was possible."""
    if entry.difference is None:
        return EMPTY
    text = signed(entry.difference, metric.decimals)
    if entry.test is None or entry.adjusted is None:
        return text
    low, high = (signed(end, metric.decimals) for end in (entry.test.low, entry.test.high))
    return f"{text} [{low}, {high}] ({p_value(entry.adjusted)})"


def published(entry: Entry, metric: Metric, sources: Sequence[str]) -> str:
    if entry.published is None:
        return EMPTY
    number = entry.published.value
    text = number if isinstance(number, str) else f"{number:g}" if metric.decimals == 0 else f"{number:.2f}"
    return f"{text} [{sources.index(entry.published.source) + 1}]"
