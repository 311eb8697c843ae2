"""Both ways of projecting give the same."""

import torch

from scripts.bench.parts.projections import against_one_product


def test_one_product_is_the_two():
    sides = against_one_product(8, "fp32")
    queries, memory, *apart = sides.ours(0)
    together, *gradients = sides.peer(0)
    for ours, theirs in zip([torch.cat((queries, memory), dim=1), *apart], [together, *gradients], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
