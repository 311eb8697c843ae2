"""Put the committed table of the demo, and what the small scale says of λ, into the README, between their marks."""

import argparse
import re

from skipln.errors import UserError
from skipln.system.files import atomic_write
from skipln.system.places import RESULTS, ROOT

# The answer to "which λ?": the table, the section of its page, what its score is called, and whether less is better.
SECTIONS = [
    ("table2", "Multi30k En-De", "BLEU", False),
    ("table1", "CIFAR-10 (JPEG), PreAct-ResNet-20, 6 epochs", "error %", True),
]


def main() -> None:
    argparse.ArgumentParser(prog="python -m scripts.pages.readme", description=__doc__).parse_args()
    page = (RESULTS / "demo/table2/table.md").read_text("utf-8")
    body = page.split("\n", 1)[1].strip()  # without its heading
    readme = (ROOT / "README.md").read_text("utf-8")
    readme = _replaced(readme, "table2", body.replace("## ", "### "))
    readme = _replaced(readme, "which λ", which_lambda())
    with atomic_write(ROOT / "README.md", "w") as file:
        file.write(readme)


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
            f"{heading}, {'less' if less else 'more'} is better. By a test over runs (bold) better than {baseline}: "
            f"{said[0]}; worse: {said[1]} ([page](results/small/{table}/table.md))."
        )
        lines = [f"| | {score} | {delta} |", "| --- | ---: | ---: |"]
        lines += [f"| {row['']} | {row[score]} | {row[delta]} |" for row in rows]
        parts.append("\n".join(lines))
    parts.append(
        "So in a Transformer of a few layers start at λ = 1 under LN, and count on a norm for any other: without one "
        "λ = 2 diverges in most runs. These are small nets on small data; `SCALE=paper` is for more."
    )
    return "\n\n".join(parts)


def section(table: str, heading: str) -> list[dict[str, str]]:
    """The rows of a section of a committed page, column by column. Raises UserError where there is none."""
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
    main()
