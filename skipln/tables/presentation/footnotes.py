"""A table's footnotes: where its numbers come from, and how far they can be trusted."""

import re
import shlex
from collections.abc import Iterable, Sequence

from skipln.report.provenance import code, machine
from skipln.runs.divergence import CRITERION
from skipln.tables.equal_data import same
from skipln.tables.statistics.runs import FEWEST, LEVEL, METHOD, POWER
from skipln.tables.statistics.summary import Block, Summary
from skipln.tables.store import Publication

_PLAIN = re.compile(r"[\w@%+=:,./\[\]…-]+")  # a shell reads these literally, with and without double quotes

MEANING = {
    "test": "test (seconds; shows that everything works, not what is better)",
    "demo": "demo (minutes on a CPU; small models and data)",
    "small": "small (hours on one machine)",
    "paper": "paper (the published recipes)",
}


def footnotes(summary: Summary) -> list[tuple[str, str]]:
    """(subject, sentence) pairs in reading order; `code` is in backticks."""
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
    notes += [("Note", text) for text in summary.manifest.notes_at(summary.scale)]
    notes.append(("Made by", f"`{command(summary)}`"))
    return notes


def published_by(publication: Publication) -> str:
    """Who published how many runs, and which refusals they overrode."""
    runs, replaced, removed = (len(found) for found in (publication.runs, publication.replaced, publication.removed))
    text = f"{publication.time[:10]} by {publication.by}: {runs} runs"
    text += f", {replaced} of them replacing others" if replaced else ""
    text += f"; {removed} removed" if removed else ""
    return text + (f"; allowed: {', '.join(publication.allowed)}" if publication.allowed else "")


def sources(summary: Summary) -> list[str]:
    """The sources of published values, in order of first appearance; the index + 1 is the footnote's number."""
    entries = [entry for block in summary.blocks for entry in block.entries]
    return list(dict.fromkeys(entry.published.source for entry in entries if entry.published))


def command(summary: Summary) -> str:
    """The make command for these records; … stands for what only the user knows."""
    name, seeds = summary.manifest.name, sorted({record.seed for record in summary.records})
    count = str(len(seeds)) if seeds == list(range(1, len(seeds) + 1)) else ",".join(map(str, seeds))
    needs = [text for block in summary.blocks if block.records for text in _asked(summary, block)]
    extra = list(dict.fromkeys([*needs, *_extra(summary)]))
    return f"make {name} SCALE={summary.scale} SEEDS={count or 1}" + (f" {make_arguments(extra)}" if extra else "")


def make_arguments(overrides: Sequence[str]) -> str:
    """ARGS="KEY=VALUE …", quoted so that neither the shell, nor make, nor make's own shell changes a word of it."""
    words = [text if _PLAIN.fullmatch(text) else shlex.quote(text).replace("$", "$$") for text in overrides]
    given = " ".join(words)
    return f'ARGS="{given}"' if words == list(overrides) else f"ARGS={shlex.quote(given)}"


def _asked(summary: Summary, block: Block) -> list[str]:
    return summary.manifest.asked(summary.scale, block.column)


def costs(block: Block) -> list[str]:
    """The meaning of the columns for time and memory."""
    found = []
    if any(entry.milliseconds for entry in block.entries):
        found.append("ms/update: time per update, without validations")
    if any(entry.kept for entry in block.entries):
        found.append(
            "MB kept: memory that the first micro-batch keeps for its backward pass, in 10^6 bytes; each storage "
            "counts once, weights do not count"
        )
    if any(entry.peak for entry in block.entries):
        found.append("MB peak: the most memory that was allocated on the GPU")
    return found


def _extra(summary: Summary) -> list[str]:
    """Overrides of the records that are not the manifest's, which is to say those of a trial."""
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
    """Name, fingerprints and size of the test set, or a warning if the runs do not agree."""
    known = _unique(r.data.fingerprint for r in block.records)
    equal = {same(one): [other for other in known if same(other) == same(one)] for one in known}
    found = _unique(
        f"{r.data.name}, fingerprint {' or '.join(equal[same(r.data.fingerprint)])}, "
        f"{r.data.test_examples:,} test examples"
        for r in block.records
    )
    return found[0] if len(found) == 1 else f"NOT THE SAME in all runs, so do not compare: {'; '.join(found)}"


def lacking(summary: Summary, block: Block) -> str:
    """The command that makes a column whose data is lacking."""
    asked = make_arguments(_asked(summary, block))
    return f"no data; give it as `make {summary.manifest.name} SCALE={summary.scale} {asked}`"


def search(block: Block) -> str:
    """What was searched for every cell of a column, and how the setting was chosen."""
    keys = "; ".join(f"{key} of {', '.join(map(str, values))}" for key, values in block.column.search.items())
    number = len(block.column.settings)
    return (
        f"{number} runs with the same number of updates for each row and seed, {keys}; the cell's is the one with the "
        "lowest loss on the validation set, and only this one read the test set; if all diverged, so did the cell"
    )


def _cells_note(summary: Summary) -> str:
    text = "mean ± sample standard deviation (n seeds); – not run"
    if any(entry.diverged for block in summary.blocks for entry in block.entries):
        text += f"; diverged: {CRITERION}; this is a result, but left out of the mean"
    return text


def _tests(summary: Summary) -> list[tuple[str, str]]:
    notes = []
    for block in summary.blocks:
        if all(entry.difference is None for entry in block.entries):
            continue
        over_runs = sum(entry.test is not None for entry in block.entries)
        text = f"Δ is the difference from {_baselines(block)}; "
        if over_runs:
            text += (
                f"its 95 % interval and two-sided p are by {METHOD}, Holm-corrected for {_comparisons(over_runs)}; "
                f"bold: p < {LEVEL:g}; not tested if fewer than {FEWEST} runs are finished or one diverged; "
                f"detectable: the true Δ that this test finds with a probability of {POWER:.0%}, given as many runs "
                "that vary as much"
            )
        else:
            text += (
                f"no row is tested over runs and none is bold: a test needs {FEWEST} finished runs of both systems "
                "and none that diverged"
            )
        notes.append((_with(summary, f"Δ {block.metrics[0].label}", block), text))
        if block.metrics[0].examples and any(e.difference is not None and not e.diverged for e in block.entries):
            notes.append((_with(summary, f"p over {block.metrics[0].examples}", block), _over_examples(block)))
    return notes


def _over_examples(block: Block) -> str:
    """What the test over test examples says, or why there is none."""
    unit = block.metrics[0].examples
    tested = [entry.comparison for entry in block.entries if entry.comparison]
    if not tested:
        return f"none, because it needs statistics of single {unit} for every run of both systems, which were not kept"
    methods = _unique(f"{item.method}, {item.resamples:,} resamples" for item in tested)
    return (
        f"two-sided, of Δ ({'; '.join(methods)}), Holm-corrected for {_comparisons(len(tested))}; it says what "
        f"other test {unit} might change, not what another seed might"
    )


def _comparisons(number: int) -> str:
    return f"{number} comparison{'s' if number > 1 else ''}"


def _baselines(block: Block) -> str:
    """The rows that others are compared with; where there are several, each other row is below its own."""
    labels = [row.label for row in (entry.row for entry in block.entries) if row.name in _compared_with(block)]
    return labels[0] if len(labels) == 1 else f"the baseline above: {' or '.join(labels)}"


def _compared_with(block: Block) -> set[str]:
    return {entry.baseline for entry in block.entries if entry.difference is not None}


def _signatures(summary: Summary) -> list[str]:
    shown = {metric.key: metric.label for block in summary.blocks for metric in block.metrics}
    return _unique(
        f"{label} `{record.signatures[key]}`"
        for key, label in shown.items()
        for record in summary.records
        if key in record.signatures
    )


def arithmetic(block: Block) -> str:
    """The precision of a column's runs; if they differ, which runs have which."""
    runs: dict[str, list[str]] = {}
    for entry in block.entries:
        own: dict[str, list[int]] = {}
        for record in entry.records:
            own.setdefault(record.arithmetic, []).append(record.seed)
        for text, seeds in own.items():
            which = f" ({'seed' if len(seeds) == 1 else 'seeds'} {_numbers(seeds)})" if len(own) > 1 else ""
            runs.setdefault(text, []).append(f"{entry.row.label}{which}")
    if len(runs) == 1:
        return next(iter(runs))
    found = "; ".join(f"{text}: {', '.join(which)}" for text, which in runs.items())
    return f"NOT THE SAME in all runs, which may itself cause a difference: {found}"


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
