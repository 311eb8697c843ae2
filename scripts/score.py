"""Score a file of translations: sacreBLEU and chrF with signatures, BLEU on split tokens, and what may be compared."""

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
    parser.add_argument("hypotheses", type=Path, metavar="HYP", help="translations, detokenised, one a line")
    parser.add_argument(
        "references", type=Path, metavar="REF", help="references as published, such as newstest2014.raw.de"
    )
    parser.add_argument(
        "--language", default="", help="of the translations: chooses the tokenisers [the suffix of REF, else de]"
    )
    parser.add_argument("--tokeniser", choices=[AUTO, *names()], default=AUTO, help="sacreBLEU's, by hand [auto]")
    parser.add_argument(
        "--data", default="", metavar="NAME", help=f"test set, to name published scores: {', '.join(scorer.FULL_TEST)}"
    )
    options = parser.parse_args(arguments)
    return exit_status(lambda: _print(options))


def _print(options: argparse.Namespace) -> None:
    language = options.language or language_of(options.references)
    for line in report(options.hypotheses, options.references, language, options.data, options.tokeniser):
        print(line)


def language_of(path: Path) -> str:
    """The language code that a file's name ends in, such as "de" or "zh_Hans"; "de" where it ends in none."""
    suffix = path.suffix.removeprefix(".")
    return suffix if re.fullmatch(r"[A-Za-z]{2}([-_]\w+)?|[a-z]{3}_[A-Z][a-z]{3}", suffix) else "de"


def report(hypotheses: Path, references: Path, language: str, data: str, tokeniser: str = AUTO) -> list[str]:
    """The scores as lines, of the files' own characters: only their line ends go, as in the command `sacrebleu`.

    Raises `UserError` for files that do not fit each other or the test set.
    """
    outputs, gold = (list(read_lines(path, as_given)) for path in (hypotheses, references))
    if len(outputs) != len(gold):
        raise UserError(f"{hypotheses} has {len(outputs):,} lines and {references} has {len(gold):,}; make them fit")
    whole = scorer.FULL_TEST.get(data)
    if whole and len(gold) != whole:
        trap = " (2,737 lines is the filtered set; papers score the full one)" if len(gold) == 2737 else ""
        raise UserError(f"{references} has {len(gold):,} lines, but {data}'s test set has {whole:,}{trap}")
    lines = [f"{len(gold):,} lines"]
    for name, found in scorer.score(outputs, gold, language, chosen(tokeniser, language)).items():
        lines.append(f"{LABELS[name]} {found.value:.2f}   {found.signature}")
        if data:
            lines += [f"    comparable: {text}" for text in scorer.comparable(data, name)]
    if data:
        lines += [f"not known to be comparable with any of these: {text}" for text in scorer.unsure(data)]
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
