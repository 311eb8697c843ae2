"""Measure what λ costs in a whole update of Transformer-base: rSkip+LN with λ = 4 against itself with λ = 1."""

from scripts.bench.parts.mt_step import BASE, BASE_VOCABULARY, BASE_WORK, base_batches, our_step
from scripts.bench.records.harness import Part, Sides

LAM = 4


def against_once(precision: str) -> Sides:
    batches = base_batches()
    often, once = (our_step(BASE_VOCABULARY, BASE, precision, {"name": "rskip_ln", "lam": lam}) for lam in (LAM, 1))
    return Sides(lambda k: often(batches[k % len(batches)]), lambda k: once(batches[k % len(batches)]))


PARTS = [
    Part("rskip-step", f"skipln {{precision}}, rSkip+LN λ = {LAM}", "the same with λ = 1", BASE_WORK, against_once,
         n=30, goal=0.97)  # λ = 4 may take 1.03 times as long
]  # fmt: skip
