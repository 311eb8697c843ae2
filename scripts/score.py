"""Score a file of translations: sacreBLEU and chrF with signatures, BLEU on split tokens, and comparable results."""

import argparse
import re
from pathlib import Path

from skipln.data.text.lines import as_given, read_lines
from skipln.errors import UserError
from skipln.scores import scorer
from skipln.scores.bleu_tokeniser import AUTO, chosen, names
from skipln.system.printing import exit_status

LABELS = {"bleu": "sacreBLEU", "chrf": "chrF", "bleu_tokenised": "tokenised compound-split BLEU"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.score", description=__doc__)
    parser.add_argument("hypotheses", type=Path, metavar="HYP", help="detokenised translations, one per line")
    parser.add_argument(
        "references", type=Path, metavar="REF", help="references as published, such as newstest2014.raw.de"
    )
    parser.add_argument(
        "--language", default="", help="language of the translations, for the tokenisers [suffix of REF, else de]"
    )
    parser.add_argument("--tokeniser", choices=[AUTO, *names()], default=AUTO, help="sacreBLEU's tokeniser [auto]")
    parser.add_argument(
        "--data", default="", metavar="NAME", help=f"test set of published scores: {', '.join(scorer.FULL_TEST)}"
    )
    options = parser.parse_args(arguments)
    return exit_status(lambda: _print(options))


def _print(options: argparse.Namespace) -> None:
    language = options.language or language_of(options.references)
    for line in report(options.hypotheses, options.references, language, options.data, options.tokeniser):
        print(line)


def language_of(path: Path) -> str:
    """The language code at the end of a file's name, such as "de" or "zh_Hans"; "de" if there is none."""
    suffix = path.suffix.removeprefix(".")
    return suffix if re.fullmatch(r"[A-Za-z]{2}([-_]\w+)?|[a-z]{3}_[A-Z][a-z]{3}", suffix) else "de"


def report(hypotheses: Path, references: Path, language: str, data: str, tokeniser: str = AUTO) -> list[str]:
    """The scores as lines. The files' characters count as they are without line ends, as in the command `sacrebleu`.

    Raises `UserError` for files that do not fit each other or the test set.
    """
    outputs, gold = (list(read_lines(path, as_given)) for path in (hypotheses, references))
    if len(outputs) != len(gold):
        raise UserError(f"{hypotheses} has {len(outputs):,} lines, but {references} has {len(gold):,}")
    whole = scorer.FULL_TEST.get(data)
    if whole and len(gold) != whole:
        trap = " (2,737 lines are the filtered set; papers score the full one)" if len(gold) == 2737 else ""
        raise UserError(f"{references} has {len(gold):,} lines, but {data}'s test set has {whole:,}{trap}")
    lines = [f"{len(gold):,} lines"]
    for name, found in scorer.score(outputs, gold, language, chosen(tokeniser, language)).items():
        lines.append(f"{LABELS[name]} {found.value:.2f}   {found.signature}")
        if data:
            lines += [f"    comparable: {text}" for text in scorer.comparable(data, name)]
    if data:
        lines += [f"unknown whether comparable with any of these: {text}" for text in scorer.unsure(data)]
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
