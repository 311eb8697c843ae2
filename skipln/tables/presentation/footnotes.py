"""What a table says below itself: where its numbers are from, and how far they can be trusted."""

import re
import shlex
from collections.abc import Iterable, Sequence

from skipln.report.provenance import code, machine
from skipln.runs.divergence import CRITERION
from skipln.tables.statistics.runs import FEWEST, LEVEL, METHOD, POWER
from skipln.tables.statistics.summary import Block, Summary
from skipln.tables.store import Publication

_PLAIN = re.compile(r"[\w@%+=:,./\[\]…-]+")  # to a shell between double quotes, and to one without

MEANING = {
    "test": "test (seconds; shows that the path works, not what is better)",
    "demo": "demo (minutes on a CPU; small models and data)",
    "small": "small (hours on one machine)",
    "paper": "paper (the published recipes)",
}


def footnotes(summary: Summary) -> list[tuple[str, str]]:
    """(subject, sentence) pairs, in the order of reading; `code` is between backticks."""
    notes = [("Scale", MEANING[summary.scale])]
    notes += [(_with(summary, "Data", block), data(block)) for block in summary.blocks if block.records]
    notes += [(_with(summary, "Data", block), lacking(summary, block)) for block in summary.blocks if block.lacks_data]
    notes += [("Seeds", _numbers(r.seed for r in summary.records) or "none yet"), ("Cells", _cells_note(summary))]
    notes += [(_with(summary, "Search", block), search(block)) for block in summary.blocks if block.column.search]
    notes += _tests(summary)
    notes += [("Costs", text) for text in _unique(text for block in summary.blocks for text in costs(block))]
    notes += [("Scorer", text) for text in _signatures(summary)]
    notes += [(_with(summary, "Arithmetic", block), arithmetic(block)) for block in summary.blocks if block.records]
    notes += [("Code", text) for text in _code(summary)]
    notes += [("Hardware", text) for text in _hardware(summary)]
    notes += [(f"[{number}]", f"published value: {text}") for number, text in enumerate(sources(summary), 1)]
    notes += [("Note", text) for text in summary.manifest.notes]
    notes.append(("Made by", f"`{command(summary)}`"))
    return notes


def published_by(publication: Publication) -> str:
    """Who published how many runs, and what they did it in spite of."""
    runs, replaced, removed = (len(found) for found in (publication.runs, publication.replaced, publication.removed))
    text = f"{publication.time[:10]} by {publication.by}, of {runs} runs"
    text += f", {replaced} in the place of others" if replaced else ""
    text += f"; {removed} left" if removed else ""
    return text + (f"; allowed: {', '.join(publication.allowed)}" if publication.allowed else "")


def sources(summary: Summary) -> list[str]:
    """Where published values were read, in order of first appearance; the place + 1 is the footnote's number."""
    entries = [entry for block in summary.blocks for entry in block.entries]
    return list(dict.fromkeys(entry.published.source for entry in entries if entry.published))


def command(summary: Summary) -> str:
    """The make command of these records; … stands for what only the user knows."""
    name, seeds = summary.manifest.name, sorted({record.seed for record in summary.records})
    count = str(len(seeds)) if seeds == list(range(1, len(seeds) + 1)) else ",".join(map(str, seeds))
    needs = [text for block in summary.blocks if block.records for text in _asked(summary, block)]
    extra = list(dict.fromkeys([*needs, *_extra(summary)]))
    return f"make {name} SCALE={summary.scale} SEEDS={count or 1}" + (f" {make_arguments(extra)}" if extra else "")


def make_arguments(overrides: Sequence[str]) -> str:
    """ARGS="KEY=VALUE …" as a shell takes it, hands it to make, and make to a shell again: no word means more there."""
    words = [text if _PLAIN.fullmatch(text) else shlex.quote(text).replace("$", "$$") for text in overrides]
    given = " ".join(words)
    return f'ARGS="{given}"' if words == list(overrides) else f"ARGS={shlex.quote(given)}"


def _asked(summary: Summary, block: Block) -> list[str]:
    return summary.manifest.asked(summary.scale, block.column)


def costs(block: Block) -> list[str]:
    """What the columns of time and memory mean."""
    found = []
    if any(entry.milliseconds for entry in block.entries):
        found.append("ms/update: without validations")
    if any(entry.kept for entry in block.entries):
        found.append(
            "MB kept: what the first micro-batch keeps for its backward pass, in 10^6 bytes, each storage once, the "
            "weights left out"
        )
    if any(entry.peak for entry in block.entries):
        found.append("MB peak: the most that was allocated on the GPU")
    return found


def _extra(summary: Summary) -> list[str]:
    """Overrides of the records that are not the manifest's: those of a trial."""
    found = []
    for block in summary.blocks:
        for entry in block.entries:
            own = {f"scale={summary.scale}", *block.column.overrides, *summary.manifest.overrides_of(entry.row)}
            own |= {f"{key}={value}" for setting in block.column.settings for key, value in setting.items()}
            found += [
                text
                for record in entry.records
                for text in record.overrides
                if text not in own and text != f"seed={record.seed}" and not text.startswith("inputs=")
            ]
    return found


def data(block: Block) -> str:
    """Name, fingerprint and size of the test set; a warning when the runs do not agree."""
    found = _unique(
        f"{r.data.name}, fingerprint {r.data.fingerprint}, {r.data.test_examples:,} test examples"
        for r in block.records
    )
    return found[0] if len(found) == 1 else f"NOT THE SAME in all runs, do not compare: {'; '.join(found)}"


def lacking(summary: Summary, block: Block) -> str:
    """Which command gets a column that has no data."""
    asked = make_arguments(_asked(summary, block))
    return f"no data; give it as `make {summary.manifest.name} SCALE={summary.scale} {asked}`"


def search(block: Block) -> str:
    """What was searched for every cell of a column, and how the choice was made."""
    keys = "; ".join(f"{key} of {', '.join(map(str, values))}" for key, values in block.column.search.items())
    number = len(block.column.settings)
    return (
        f"for each row and seed {number} runs with equally many updates, {keys}; the one with the lowest loss on the "
        "validation set is the cell's, and the test set was read for it alone; where all diverged, so has the cell"
    )


def _cells_note(summary: Summary) -> str:
    text = "mean ± sample standard deviation (n seeds); – not run"
    if any(entry.diverged for block in summary.blocks for entry in block.entries):
        text += f"; diverged: {CRITERION}; it is a result, left out of the mean"
    return text


def _tests(summary: Summary) -> list[tuple[str, str]]:
    notes = []
    for block in summary.blocks:
        if all(entry.difference is None for entry in block.entries):
            continue
        over_runs = sum(entry.test is not None for entry in block.entries)
        text = f"Δ is to {_baseline(summary)}; "
        if over_runs:
            text += (
                f"with its 95 % interval and p, two-sided, by {METHOD}, Holm-corrected for {_comparisons(over_runs)}; "
                f"bold: p < {LEVEL:g}; not tested where fewer than {FEWEST} runs are finished or one diverged; "
                f"detectable: the true Δ that this test finds with a probability of {POWER:.0%}, given as many runs "
                "that vary as much"
            )
        else:
            text += (
                f"no row is tested over runs, which takes {FEWEST} finished runs of both systems and none diverged, "
                "so none is bold"
            )
        notes.append((_with(summary, f"Δ {block.metrics[0].label}", block), text))
        if block.metrics[0].examples and any(e.difference is not None and not e.diverged for e in block.entries):
            notes.append((_with(summary, f"p over {block.metrics[0].examples}", block), _over_examples(block)))
    return notes


def _over_examples(block: Block) -> str:
    """What the test over single test examples says, or why there is none."""
    unit = block.metrics[0].examples
    tested = [entry.comparison for entry in block.entries if entry.comparison]
    if not tested:
        return f"none: it takes the statistics of single {unit} of every run of both systems, and they were not kept"
    methods = _unique(f"{item.method}, {item.resamples:,} resamples" for item in tested)
    return (
        f"two-sided, of Δ ({'; '.join(methods)}), Holm-corrected for {_comparisons(len(tested))}; it says what "
        f"other test {unit} might change, not what another seed might"
    )


def _comparisons(number: int) -> str:
    return f"{number} comparison{'s' if number > 1 else ''}"


def _baseline(summary: Summary) -> str:
    return next(row.label for row in summary.manifest.rows if row.name == summary.manifest.baseline)


def _signatures(summary: Summary) -> list[str]:
    shown = {metric.key: metric.label for block in summary.blocks for metric in block.metrics}
    return _unique(
        f"{label} `{record.signatures[key]}`"
        for key, label in shown.items()
        for record in summary.records
        if key in record.signatures
    )


def arithmetic(block: Block) -> str:
    """In what precision the runs of a column computed, and which of them where they did not all do so alike."""
    runs: dict[str, list[str]] = {}
    for entry in block.entries:
        own: dict[str, list[int]] = {}
        for record in entry.records:
            own.setdefault(record.arithmetic, []).append(record.seed)
        for text, seeds in own.items():
            which = f" (seeds {_numbers(seeds)})" if len(own) > 1 else ""
            runs.setdefault(text, []).append(f"{entry.row.label}{which}")
    if len(runs) == 1:
        return next(iter(runs))
    found = "; ".join(f"{text}: {', '.join(which)}" for text, which in runs.items())
    return f"NOT THE SAME in all runs, which a difference may come from: {found}"


def _code(summary: Summary) -> list[str]:
    return _unique(code(made) for record in summary.records for made in record.environments)


def _hardware(summary: Summary) -> list[str]:
    return _unique(machine(made) for record in summary.records for made in record.environments)


def _with(summary: Summary, subject: str, block: Block) -> str:
    return f"{subject}, {block.column.label}" if len(summary.blocks) > 1 else subject


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(numbers))))


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
