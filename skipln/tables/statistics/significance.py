"""Test whether a difference is more than other test examples would explain; Holm's correction for many such tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RESAMPLES = 1000
# One seed for every comparison: all systems of a column see the same resampled test sets.
SEED = 20


@dataclass(frozen=True)
class Difference:
    """A system minus the baseline in the metric's unit, its 95 % interval, and the two-sided p for "no difference"."""

    difference: float
    low: float
    high: float
    p: float
    method: str
    resamples: int


def bleu(statistics: np.ndarray) -> np.ndarray:
    """Corpus BLEU, 0 to 100, of summed statistics [..., 10]; equals sacreBLEU's with its default 'exp' smoothing.

    The last axis holds hypothesis length, reference length, matches of 1- to 4-grams, and totals of 1- to 4-grams.
    Raises ValueError if it does not have ten entries.
    """
    sums = np.asarray(statistics, dtype=np.float64)
    if sums.shape[-1] != 10:
        raise ValueError(f"{sums.shape[-1]} statistics per sentence, but BLEU has 10")
    length, reference = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2:6], sums[..., 6:10]
    # exp smoothing: the first order without a match counts as 1/2 match, the second as 1/4, …
    halvings = np.cumsum((matches == 0) & (totals > 0), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = 100 * np.where(matches == 0, 0.5**halvings, matches) / totals
        brevity = np.where(length >= reference, 1.0, np.exp(1 - reference / length))
        score = brevity * np.exp(np.log(precisions).mean(axis=-1))
    empty = (totals == 0).any(axis=-1) | ~(matches > 0).any(axis=-1) | (length == 0)
    return np.where(empty, 0.0, score)


# A metric's value, from the sum of the examples' statistics [..., k] and their number.
Score = Callable[[np.ndarray, int], np.ndarray]
SCORES: dict[str, Score] = {
    "bleu": lambda sums, n: bleu(sums),
    "error": lambda sums, n: 100 * sums[..., 0] / n,
    "error5": lambda sums, n: 100 * sums[..., 1] / n,
    "success": lambda sums, n: 100 * sums[..., 1] / np.maximum(sums[..., 0], 1),  # of the images that count
}


def over_examples(
    system: Sequence[np.ndarray],
    baseline: Sequence[np.ndarray],
    score: Score = SCORES["bleu"],
    unit: str = "sentences",
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Difference:
    """Paired bootstrap (Koehn 2004); each array [examples, k] is one run (seed) of that system.

    Examples are drawn jointly for all runs; a system's score is the mean of its runs' scores. With the observed
    difference Δ and a resampled one Δ*, p is how often |Δ* − mean Δ*| ≥ |Δ|. sacreBLEU 2.6 instead counts
    |Δ*| − mean |Δ*| > |Δ|, which is rarer, and therefore rejects about twice as many null cases as it should:
    `python -m scripts.false_alarms` shows both rates.
    Raises ValueError if the runs do not have the same number of examples.
    """
    sizes = {len(run) for run in (*system, *baseline)}
    if len(sizes) != 1:
        raise ValueError(f"test sets of {', '.join(map(str, sorted(sizes)))} {unit} cannot be paired")
    (n,) = sizes
    weights = _weights(n, resamples, seed)

    def scored(runs: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
        return (
            float(np.mean([score(run.sum(axis=0), n) for run in runs])),
            np.mean([score(weights @ run, n) for run in runs], axis=0),
        )

    (score_system, drawn_system), (score_baseline, drawn_baseline) = scored(system), scored(baseline)
    difference, drawn = score_system - score_baseline, drawn_system - drawn_baseline
    strays = np.abs(drawn - drawn.mean()) >= abs(difference) - 1e-9
    low, high = np.percentile(drawn, [2.5, 97.5])
    p = (int(strays.sum()) + 1) / (resamples + 1)
    return Difference(difference, float(low), float(high), p, f"paired bootstrap over {unit}", resamples)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order: marking those below α holds the chance of any false mark to α."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


@lru_cache(maxsize=1)
def _weights(sentences: int, resamples: int, seed: int) -> np.ndarray:
    """The number of times that each resample draws each sentence, [resamples, sentences]."""
    drawn = np.random.default_rng(seed).integers(sentences, size=(resamples, sentences))
    return np.stack([np.bincount(row, minlength=sentences) for row in drawn]).astype(np.float64)
