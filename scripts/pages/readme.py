"""Put the published results into the README, between its marks: the claims, which λ, and the demo's table."""

import argparse
import re
import sys

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
    ("table2", "Multi30k En-De", "BLEU", False),
    ("table1", "CIFAR-10 (JPEG), PreAct-ResNet-20, 6 epochs", "error %", True),
]


def main() -> None:
    argparse.ArgumentParser(prog="python -m scripts.pages.readme", description=__doc__).parse_args()
    content = readme()
    with atomic_write(README, "w") as file:
        file.write(content)


def readme() -> str:
    """The README as the published records give it. Raises UserError if it has lost its marks."""
    page = (RESULTS / "demo/table2/table.md").read_text("utf-8")
    body = page.split("\n", 1)[1].strip()  # without its heading
    text = README.read_text("utf-8")
    text = _replaced(text, "claims", what_of_the_claims())
    text = _replaced(text, "table2", body.replace("## ", "### "))
    return _replaced(text, "which λ", which_lambda())


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
        "Each number counts comparisons of two forms on one data set. All but those in the last column have at least "
        f"three runs on each side, and are tested over runs and Holm-corrected. {scales(found)} [The full list]"
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
    """The answer in Markdown, from the pages of tables 1 and 2 at small scale."""
    parts = ["### Which λ?"]
    for table, heading, score, less in SECTIONS:
        rows = section(table, heading)
        delta = next(name for name in rows[0] if name.startswith("Δ"))
        baseline = next(row[""] for row in rows if row[delta] == "baseline")
        found: dict[bool, list[str]] = {True: [], False: []}  # by whether it is better
        for row in rows:
            if row[delta].startswith("**"):
                found[row[delta].startswith("**−") == less].append(row[""])
        said = [f"{'none' if not names else ' and '.join(names)}" for names in (found[True], found[False])]
        parts.append(
            f"{heading}, {'lower' if less else 'higher'} is better. Significantly better than {baseline} over runs "
            f"(bold): {said[0]}; significantly worse: {said[1]} ([page](results/small/{table}/table.md))."
        )
        lines = [f"| | {score} | {delta} |", "| --- | ---: | ---: |"]
        lines += [f"| {row['']} | {row[score]} | {row[delta]} |" for row in rows]
        parts.append("\n".join(lines))
    parts.append("These are small nets on small data; `SCALE=paper` trains large ones.")
    return "\n\n".join(parts)


def section(table: str, heading: str) -> list[dict[str, str]]:
    """The rows of a section of a committed page, column by column. Raises UserError if there is no such section."""
    page = (RESULTS / f"small/{table}/table.md").read_text("utf-8")
    for part in page.split("\n## ")[1:]:
        if part.startswith(f"{heading}\n"):
            lines = [line for line in part.splitlines() if line.startswith("|")]
            cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    raise UserError(f"results/small/{table}/table.md has no section {heading}")


def _replaced(readme: str, name: str, body: str) -> str:
    marks = rf"(<!-- {name} -->\n).*(<!-- end of {name} -->\n)"
    found, count = re.subn(marks, lambda m: f"{m[1]}\n{body}\n\n{m[2]}", readme, flags=re.DOTALL)
    if count != 1:
        raise UserError(f"README.md has lost its marks <!-- {name} --> and <!-- end of {name} -->: put them back")
    return found


if __name__ == "__main__":
    sys.exit(exit_status(main))
