"""BLEU equals sacreBLEU's; p is 1 for equal systems, small for clearly better ones, and rarely a false alarm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from skipln.tables.statistics.significance import bleu, holm, over_examples
from tests.tables.fakes import sentences

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "."]), min_size=0, max_size=9).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS.filter(bool)), min_size=1, max_size=6))
def test_bleu_equals_sacrebleus(pairs: list[tuple[str, str]]) -> None:
    """Even if smoothing, the brevity penalty or an empty translation decides."""
    hypotheses, references = [hyp for hyp, _ in pairs], [[ref for _, ref in pairs]]
    scorer = BLEU()
    statistics = np.array(scorer._extract_corpus_statistics(hypotheses, references))
    assert bleu(statistics.sum(axis=0)) == pytest.approx(scorer.corpus_score(hypotheses, references).score, abs=1e-9)


def test_bleu_of_nothing_and_of_the_references() -> None:
    assert bleu(np.zeros(10)) == 0
    assert bleu(np.array([8, 8, 8, 7, 6, 5, 8, 7, 6, 5])) == pytest.approx(100)


def test_identical_systems_have_p_1() -> None:
    found = over_examples([sentences(0.6)], [sentences(0.6)])
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_clearly_better_system_and_the_mirrored_comparison() -> None:
    better, worse = [sentences(0.8, seed=s) for s in (1, 2)], [sentences(0.6, seed=3)]
    found, mirror = over_examples(better, worse), over_examples(worse, better)
    assert found.p < 0.005
    assert 0 < found.low < found.difference < found.high
    assert (mirror.p, mirror.difference, mirror.low) == (found.p, -found.difference, pytest.approx(-found.high))


def test_the_test_gives_the_same_numbers_every_time() -> None:
    a, b = [sentences(0.62, seed=1)], [sentences(0.6, seed=2)]
    assert over_examples(a, b) == over_examples(a, b)


def test_false_alarms_are_rare() -> None:
    """For systems of equal quality, about 5 % of p are below 0.05."""
    p = [
        over_examples([sentences(0.6, 60, 2 * i)], [sentences(0.6, 60, 2 * i + 1)], resamples=200).p for i in range(150)
    ]
    assert np.mean(np.array(p) < 0.05) < 0.12
    assert 0.3 < np.mean(p) < 0.7


def test_unpaired_test_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="100, 200 sentences cannot be paired"):
        over_examples([sentences(0.6, 100)], [sentences(0.6, 200)])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_nor_reorders(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(raw <= new <= 1 for raw, new in zip(p, adjusted, strict=True))
    assert all(adjusted[i] <= adjusted[j] for i in range(len(p)) for j in range(len(p)) if p[i] < p[j])
