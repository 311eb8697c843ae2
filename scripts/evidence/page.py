"""results/README.md: claim by claim, what speaks for it, what against it, and what was not tested."""

from collections import Counter
from collections.abc import Sequence

from scripts.evidence.comparing import Claim, Comparison
from scripts.evidence.costs import Standing
from skipln.report.markdown import aligned, in_cell
from skipln.report.numbers import EMPTY, p_value, signed
from skipln.tables.execution.cost import ASSUMED
from skipln.tables.statistics.runs import FEWEST, LEVEL, METHOD, POWER

OPENING = f"""# What the published runs say about the paper's claims

`make results` writes this page from the records below this folder, and `make verify-results` checks it against them.
The unit is the run: a comparison speaks *for* or *against* a claim if {METHOD}, or Fisher's exact test of how many
runs diverged, gives p < {LEVEL:g} after Holm's correction over the claim's comparisons. Otherwise it is *open*, and a
column gives the true difference that the test would have found with a probability of {POWER:.0%}. Fewer than {FEWEST}
runs on a side are not tested. The claims are from the paper's abstract and one secondary note; the values in its tables
could not be retrieved."""


def page(claims: Sequence[Claim], found: Sequence[Comparison], tables: Sequence[Standing]) -> str:
    """The whole page."""
    parts = [OPENING, summary(claims, found), scales(found), "![the differences with their intervals](evidence.svg)"]
    for number, claim in enumerate(claims, 1):
        own = [one for one in found if one.claim.name == claim.name]
        parts += [f"## {number}. {claim.claim}", _of_claim(claim, own)]
    return "\n\n".join([*parts, "## What was not run, and what it would cost", _costs(tables)]) + "\n"


def summary(claims: Sequence[Claim], found: Sequence[Comparison]) -> str:
    """One line per claim: how many comparisons are for it, against it, open, and too small."""
    lines = [["claim", "so far", "for", "against", "open", "too few runs"]]
    for claim in claims:
        said = Counter(one.says for one in found if one.claim.name == claim.name)
        counts = [str(said[key]) for key in ("for", "against", "open", "too few runs")]
        lines.append([claim.claim, verdict(said), *counts])
    return aligned(lines)


def scales(found: Sequence[Comparison]) -> str:
    """The scales of the tested comparisons; the paper's scale is named even if it has none."""
    counts = Counter(one.scale for one in found if one.says != "too few runs")
    named = ", ".join(f"{counts[scale]} at scale {scale}" for scale in ("demo", "small", "paper"))
    return (
        f"Tested comparisons: {named}. Small nets on small data need not behave like large ones: nothing here "
        "reproduces a number from the paper."
    )


def verdict(said: Counter) -> str:
    """The verdict on a claim in a few words, from the counts of what its comparisons say."""
    if said["for"] and said["against"]:
        return "mixed"
    if said["for"]:
        return "for it"
    if said["against"]:
        return "against it"
    return "open" if said["open"] else "not tested"


def difference(one: Comparison) -> str:
    """The difference, such as "−1.1 BLEU [−1.7, −0.5]", or how many runs of each side diverged."""
    if any(one.diverged):
        first, second = (f"{bad} of {n}" for bad, n in zip(one.diverged, one.n, strict=True))
        return f"{first} diverged, {second} of the other"
    if one.test is None:
        return EMPTY
    decimals = one.metric.decimals
    middle, low, high = (signed(x, decimals) for x in (one.test.difference, one.test.low, one.test.high))
    return f"{middle} {one.metric.label} [{low}, {high}]"


def place(one: Comparison) -> str:
    return f"{one.table}, {one.scale}: {in_cell(one.column.label)}"


def _of_claim(claim: Claim, own: Sequence[Comparison]) -> str:
    tested = [one for one in own if one.says != "too few runs"]
    parts = [f"Source: {claim.source}. Expected: the first of a pair is {claim.expect}."]
    if claim.beside:
        parts[0] += f" {claim.beside}"
    if tested:
        lines = [["where", "pair", "first minus second [95 %]", "n", "p", "detectable", "says"]]
        lines += [_line(one) for one in tested]
        parts.append(aligned(lines))
    if few := Counter(place(one) for one in own if one.says == "too few runs"):
        named = "; ".join(f"{count} in {where}" for where, count in few.items())
        parts.append(f"Not tested, with fewer than {FEWEST} runs on a side: {named}.")
    if not own:
        parts.append("No published table has such a pair.")
    return "\n\n".join(parts)


def _line(one: Comparison) -> list[str]:
    detectable = f"{one.test.detectable:.{one.metric.decimals}f}" if one.test and one.says == "open" else EMPTY
    pair = " against ".join(in_cell(row.label) for row in one.rows)
    p = EMPTY if one.adjusted is None else p_value(one.adjusted)
    return [place(one), pair, difference(one), f"{one.n[0]}, {one.n[1]}", p, detectable, one.says]


def _costs(tables: Sequence[Standing]) -> str:
    counts = ["cells begun", "runs published", "fewest runs", "hours of a seed", "examples, bytes", "GPU-hours"]
    lines = [["table, scale", *counts]]
    for one in tables:
        hours = EMPTY if one.hours is None else f"{one.hours:,.1f}"
        begun = f"{one.begun} of {one.cells}"
        least, seed = (str(one.least), f"{one.seed_hours:.1f}") if one.runs else (EMPTY, EMPTY)
        lines.append([f"{one.table}, {one.scale}", begun, str(one.runs), least, seed, f"{one.examples_bytes:,}", hours])
    total = sum(one.hours or 0 for one in tables)
    return (
        f"{aligned(lines)}\n\nFewest runs: of a cell that was begun. Where it is below {FEWEST}, the reason is time: "
        "one more seed of every begun cell takes the hours of the next column, training and test, on the hardware of "
        "its records. Examples: the compressed statistics of single test sentences or images, from which scores and "
        "the tests over them are recomputed. GPU-hours: the cost of what is not published at scale paper, "
        f"{total:,.1f} together; estimated: {ASSUMED}. A run that two tables share counts in both. Scales demo and "
        "small need no GPU."
    )
