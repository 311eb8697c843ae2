"""The residual site's benchmark: what each side keeps for the backward (x and F; rows and gains are the rest)."""

import pytest

from scripts.bench.parts.rskip_site import sides


@pytest.mark.parametrize("lam", [1, 2, 4, 8])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_more_is_kept_than_two_activations_or_the_plain_form(lam, precision):
    kept = sides(lam, precision, rows=1024).found()["kept"]
    assert kept["ours"] <= (2.06 if lam > 1 else kept["peer"])
    assert kept["peer"] >= min(lam, 2)
