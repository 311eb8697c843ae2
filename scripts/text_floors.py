"""BLEU that needs no learning: copy the source, or copy the target of the nearest training source."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from skipln.data.text import ParallelFiles
from skipln.data.text.demo import floors
from skipln.data.text.lines import as_given
from skipln.scores.bleu_tokeniser import AUTO, bleu_metric, chosen, names
from skipln.system.printing import exit_status


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.text_floors", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("data/catalogs"), help="[data/catalogs]")
    parser.add_argument("--source", default="en", help="suffix of the source files [en]")
    parser.add_argument("--target", default="de", help="suffix of the target files [de]")
    parser.add_argument("--train", default="train", help="prefix of the training files [train]")
    parser.add_argument("--test", default="test", help="prefix of the test files [test]")
    parser.add_argument(
        "--tokeniser", choices=[AUTO, *names()], default=AUTO, help="sacreBLEU's tokeniser [by the target language]"
    )
    options = parser.parse_args()
    files = ParallelFiles(options.folder, options.source, options.target, train=options.train, test=options.test)
    bleu = bleu_metric(chosen(options.tokeniser, options.target))
    train, test = list(files.pairs("train")), list(replace(files, form=as_given).pairs("test"))
    sources, references = [source for source, _ in test], [[target for _, target in test]]
    nearest = [train[i][1] for i in floors.nearest(sources, [source for source, _ in train])]
    print(f"copy the nearest training target: {bleu.corpus_score(nearest, references).score:.1f}")
    print(f"copy the source:                  {bleu.corpus_score(sources, references).score:.1f}")
    print(f"n = {len(test):,} sentences of {options.folder}/{options.test}, sacreBLEU {bleu.get_signature()}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
