"""The command that shows how often two bootstrap tests are wrong, against the tests' own formulas."""

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from scripts.false_alarms import main, p_values
from skipln.tables.statistics import significance


def test_sacrebleus_test_gives_smaller_p_values(capsys):
    found = np.array([p_values(case, 40, 60) for case in range(40)])
    ours, theirs = found.T
    assert (theirs <= ours).mean() > 0.9  # |Δ*| − mean |Δ*| is rarely as large as |Δ* − mean Δ*|
    assert (theirs < 0.5).sum() > (ours < 0.5).sum()
    main(["--cases", "2", "--sentences", "20", "--resamples", "20"])
    assert "n = 2 cases of 20 sentences, 20 resamples each" in capsys.readouterr().out


def test_p_is_the_share_of_resamples_that_differ_as_much():
    """It counts resamples with |Δ* − mean Δ*| ≥ |Δ|, computed here one by one."""
    rng = np.random.default_rng(0)
    references = [[" ".join(rng.choice(list("abcdef"), 9)) for _ in range(30)]]
    lines = [[" ".join(rng.permutation(text.split())) for text in references[0]] for _ in range(2)]
    a, b = (np.array(BLEU()._extract_corpus_statistics(system, references), dtype=float) for system in lines)
    found = significance.over_examples([a], [b], resamples=50, seed=3)
    drawn = np.random.default_rng(3).integers(30, size=(50, 30))

    def score(rows: np.ndarray) -> float:
        return BLEU()._compute_score_from_stats(rows.sum(0).astype(int).tolist()).score

    differences = np.array([score(a[rows]) - score(b[rows]) for rows in drawn])
    observed = score(a) - score(b)
    assert found.p == (np.sum(np.abs(differences - differences.mean()) >= abs(observed)) + 1) / 51
