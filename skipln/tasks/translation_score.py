"""Score translations, and compute the statistics of each sentence from which the scores follow."""

from collections.abc import Sequence

import numpy as np

from skipln.configuration.schema import ParallelText, RunConfig
from skipln.scores.bleu_tokeniser import DEFAULT, bleu_metric
from skipln.scores.scorer import score
from skipln.tasks.task import TestResult


def scored(
    config: RunConfig, tokeniser: str, sources: list[str], references: list[str], outputs: list[str]
) -> TestResult:
    """BLEU (with `tokeniser`) and chrF of translations, all raw text; also BLEU on Moses' tokens if the recipe uses
    them, and BLEU of the shorter and the longer half of the sentences with task.by_length."""
    data = config.data
    # Recipes with Moses' tokenisation come from papers that print BLEU on tokens.
    moses = isinstance(data, ParallelText) and data.encoding == "moses_bpe"
    scores = score(outputs, references, data.target if moses else None, tokeniser)  # type: ignore[union-attr]
    metrics = {name: found.value for name, found in scores.items()}
    signatures = {name: found.signature for name, found in scores.items()}
    if getattr(config.task, "by_length", False):
        for name, places in zip(("short", "long"), halves(sources), strict=True):
            translated, wanted = ([lines[i] for i in places] for lines in (outputs, references))
            metrics[f"bleu_{name}"] = score(translated, wanted, None, tokeniser)["bleu"].value
    statistics = sentence_statistics(outputs, references, tokeniser)
    return TestResult(metrics, signatures, statistics, outputs, sources, references)


def halves(sources: Sequence[str]) -> tuple[list[int], list[int]]:
    """The indices of the shorter and of the longer half of the sentences, by words; equal lengths keep their order."""
    order = sorted(range(len(sources)), key=lambda i: len(sources[i].split()))
    return order[: len(order) // 2], order[len(order) // 2 :]


def sentence_statistics(outputs: Sequence[str], references: Sequence[str], tokeniser: str = DEFAULT) -> np.ndarray:
    """Each sentence's BLEU statistics, int32 [sentences, 10]: both lengths, 4 n-gram matches, 4 n-gram totals.

    Corpus BLEU is a function of their sum.
    """
    bleu = bleu_metric(tokeniser, effective_order=True)
    scores = [bleu.sentence_score(output, [reference]) for output, reference in zip(outputs, references, strict=True)]
    return np.array([[s.sys_len, s.ref_len, *s.counts, *s.totals] for s in scores], dtype=np.int32)
