"""Put the published results into the README, between its marks: the claims, which λ, and the demo's table."""

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass

from scripts.evidence.comparing import claims, comparisons
from scripts.evidence.page import scales, summary
from skipln.errors import UserError
from skipln.system.files import atomic_write
from skipln.system.places import EXPERIMENTS, RESULTS, ROOT
from skipln.system.printing import exit_status

README = ROOT / "README.md"

FORMS = "skip and xSkip grow by orders of magnitude, xSkip+LN and rSkip+LN stay level"

# The answer to "which λ?": the table, the section of its page, what its score is called, and whether less is better.
SECTIONS = [
    ("small/table2", "Multi30k En-De", "BLEU", False),
    ("small/table2", "Multi30k En-De, 6+6 layers", "BLEU", False),
    ("small/table1", "CIFAR-10 (JPEG), PreAct-ResNet-20, 6 epochs", "error %", True),
]
CASES = [*SECTIONS, ("demo/table2", "En-De catalogs", "BLEU", False)]


def main() -> None:
    argparse.ArgumentParser(prog="python -m scripts.pages.readme", description=__doc__).parse_args()
    content = readme()
    with atomic_write(README, "w") as file:
        file.write(content)


def readme() -> str:
    """The README as the published records give it. Raises UserError if it has lost its marks."""
    text = README.read_text("utf-8")
    text = _replaced(text, "claims", what_of_the_claims())
    text = _replaced(text, "table2", demo_table())
    return _replaced(text, "which λ", which_lambda())


def demo_table() -> str:
    """Table 2 at demo scale in Markdown, without the heading and the provenance, which its page has."""
    lines = (RESULTS / "demo/table2/table.md").read_text("utf-8").strip().splitlines()[1:]
    shown = [line for line in lines if not line.startswith(("- Code:", "- Hardware:", "- Published:"))]
    more = "- [The table's page](results/demo/table2/table.md): code, hardware, and who published which runs"
    return "\n".join([*shown, more]).strip().replace("## ", "### ")


def what_of_the_claims() -> str:
    """The picture and the table of what the published runs say of the paper's claims, in Markdown."""
    asked, found = claims(EXPERIMENTS), comparisons(RESULTS, EXPERIMENTS)
    gradients = (
        "Without a norm the gradient grows by orders of magnitude on its way back through the residual sites; under LN "
        "it stays level (λ = 2, before training; [figure 1](results/demo/figure1/figure.md) has every form, λ and "
        "depth):"
    )
    shown = f"![gradient of the stream against depth: {FORMS}](results/demo/figure1/transformer-overview.svg)"
    legend = (
        "Each number counts comparisons of two forms on one data set. With at least three runs on each side they are "
        "tested over runs and Holm-corrected: a significant difference is for or against the claim, any other leaves "
        f"it open. {scales(found)} [The full list]"
        "(results/README.md) has every effect, interval and n, and a picture of them."
    )
    return "\n\n".join(
        [
            gradients,
            shown,
            "What our published runs say about the paper's claims:",
            summary(asked, found),
            legend,
        ]
    )


def which_lambda() -> str:
    """The answer in Markdown, from the pages of tables 1 and 2 at small scale and of table 2 at demo scale."""
    parts = ["### Which λ?", in_short([(heading, tested(table, heading, less)) for table, heading, _, less in CASES])]
    for table, heading, score, less in SECTIONS:
        rows, found = section(table, heading), tested(table, heading, less)
        parts.append(
            f"{heading}, {'lower' if less else 'higher'} is better. Significantly better than {found.baseline} over "
            f"runs (bold): {listed(found.better)}; significantly worse: {listed(found.worse)} "
            f"([page](results/{table}/table.md))."
        )
        delta = delta_of(rows)
        lines = [f"| | {score} | {delta} |", "| --- | ---: | ---: |"]
        lines += [f"| {row['']} | {row[score]} | {row[delta]} |" for row in rows]
        parts.append("\n".join(lines))
    parts.append("These are small nets on small data; `SCALE=paper` trains large ones.")
    return "\n\n".join(parts)


@dataclass(frozen=True)
class Tested:
    """A section's baseline, and the rows that differ from it significantly over runs."""

    baseline: str
    better: list[str]
    worse: list[str]


def tested(table: str, heading: str, less: bool) -> Tested:
    """What the tests of a committed section found. less: whether a lower score is better."""
    rows = section(table, heading)
    delta = delta_of(rows)
    found: dict[bool, list[str]] = {True: [], False: []}  # by whether it is better
    for row in rows:
        if row[delta].startswith("**"):
            found[row[delta].startswith("**−") == less].append(row[""])
    return Tested(next(row[""] for row in rows if row[delta] == "baseline"), found[True], found[False])


def in_short(cases: list[tuple[str, Tested]]) -> str:
    """The answer in two sentences: what is better than the plain form on each data set, and where to begin.

    To begin with are the forms that are worse on no data set, and among them those that are better on the most.
    """
    own = "; ".join(f"on {heading}, {listed(found.better)}" for heading, found in cases)
    worse = {name for _, found in cases for name in found.worse}
    wins = Counter(name for _, found in cases for name in found.better if name not in worse)
    most = max(wins.values(), default=0)
    safe = [name for name in wins if wins[name] == most]
    rest = (
        f"{listed(safe)}: better on {most} of these {len(cases)}, significantly worse on none. Begin there, and let "
        "your validation set compare λ = 1."
        if safe
        else "Begin with λ = 1, and let your validation set compare it with 2 and 3."
    )
    return f"Significantly better than the plain form, so far: {own}. {rest}"


def listed(names: list[str]) -> str:
    """The names as in "a, b and c"; "none" without any."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "none"


def delta_of(rows: list[dict[str, str]]) -> str:
    """The name of the column with the differences."""
    return next(name for name in rows[0] if name.startswith("Δ"))


def section(table: str, heading: str) -> list[dict[str, str]]:
    """The rows of a section of a committed page, column by column. Raises UserError if there is no such section."""
    page = (RESULTS / table / "table.md").read_text("utf-8")
    for part in page.split("\n## ")[1:]:
        if part.startswith(f"{heading}\n"):
            lines = [line for line in part.splitlines() if line.startswith("|")]
            cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    raise UserError(f"results/{table}/table.md has no section {heading}")


def _replaced(readme: str, name: str, body: str) -> str:
    marks = rf"(<!-- {name} -->\n).*(<!-- end of {name} -->\n)"
    found, count = re.subn(marks, lambda m: f"{m[1]}\n{body}\n\n{m[2]}", readme, flags=re.DOTALL)
    if count != 1:
        raise UserError(f"README.md has lost its marks <!-- {name} --> and <!-- end of {name} -->: put them back")
    return found


if __name__ == "__main__":
    sys.exit(exit_status(main))
