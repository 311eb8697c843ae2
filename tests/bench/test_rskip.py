"""The benchmark of the residual site: what each side keeps for the backward pass, in activations."""

import pytest

from scripts.bench.parts.rskip_site import sides


@pytest.mark.parametrize("lam", [1, 2, 4, 8])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ours_keeps_at_most_two_activations_and_no_more_than_the_plain_form(lam, precision):
    kept = sides(lam, precision, rows=1024).found()["kept"]
    assert kept["ours"] <= (2.06 if lam > 1 else kept["peer"])
    assert kept["peer"] >= min(lam, 2)
