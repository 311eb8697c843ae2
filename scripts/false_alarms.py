"""Count how often two bootstrap tests, ours and sacreBLEU's, call systems of equal quality different.

Each case is a test set of random words and two systems that garble it independently but in the same way. Every p below
the level is therefore a false alarm, and an honest test gives as many as the level says.
"""

import argparse
import logging
import math
import sys

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest, Result

from skipln.system.printing import exit_status
from skipln.tables.statistics.runs import LEVEL
from skipln.tables.statistics.significance import over_examples

WORDS = [f"w{i}" for i in range(200)]


def garbled(reference: np.ndarray, rng: np.random.Generator) -> str:
    """The reference with a third of its words, or sometimes more, replaced by others."""
    replaced = rng.random(len(reference)) < rng.beta(2, 4)
    return " ".join(np.where(replaced, rng.choice(WORDS, len(reference)), reference))


def p_values(case: int, sentences: int, resamples: int) -> tuple[float, float]:
    """(our p, sacreBLEU's p) for one case."""
    rng = np.random.default_rng(case)
    references = [rng.choice(WORDS, rng.integers(5, 30)) for _ in range(sentences)]
    texts = [" ".join(reference) for reference in references]
    systems = {name: [garbled(reference, rng) for reference in references] for name in ("baseline", "system")}
    statistics = {
        name: np.array(BLEU()._extract_corpus_statistics(lines, [texts]), dtype=np.float64)
        for name, lines in systems.items()
    }
    ours = over_examples([statistics["system"]], [statistics["baseline"]], resamples=resamples, seed=case).p
    _, found = PairedTest(list(systems.items()), {"bleu": BLEU()}, [texts], "bs", n_samples=resamples)()
    result = next(scores for name, scores in found.items() if name != "System")[1]
    theirs = result.p_value if isinstance(result, Result) else None
    assert theirs is not None
    return ours, theirs


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.false_alarms", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="[1000]")
    parser.add_argument("--sentences", type=int, default=100, help="per test set [100]")
    parser.add_argument("--resamples", type=int, default=200, help="per test [200]")
    options = parser.parse_args(arguments)
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    found = np.array([p_values(case, options.sentences, options.resamples) for case in range(options.cases)])
    for name, rate in zip(("ours", "sacreBLEU's"), (found < LEVEL).mean(axis=0), strict=True):
        error = 100 * math.sqrt(rate * (1 - rate) / options.cases)
        print(f"{name + ':':12} {100 * rate:4.1f} % ± {error:.1f} of null cases rejected at {100 * LEVEL:g} %")
    print(f"n = {options.cases:,} cases of {options.sentences} sentences, {options.resamples} resamples each; ± is one")
    print("standard error")


if __name__ == "__main__":
    sys.exit(exit_status(main))
