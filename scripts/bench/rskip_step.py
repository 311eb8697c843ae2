"""What λ costs over a whole update of Transformer-base: rSkip+LN with λ = 4 against itself with λ = 1."""

from scripts.bench.harness import Part, Sides
from scripts.bench.mt_step import BASE, BASE_WORK, MAX_TOKENS, our_step
from scripts.bench.text import random_batches
from skipln.models.transformer import TransformerShape

LAM = 4


def against_once(precision: str, vocabulary: int = 32_000, shape: TransformerShape = BASE) -> Sides:
    batches = random_batches(vocabulary, MAX_TOKENS, 32, 27)
    often, once = (our_step(vocabulary, shape, precision, {"name": "rskip_ln", "lam": lam}) for lam in (LAM, 1))
    return Sides(lambda k: often(batches[k % len(batches)]), lambda k: once(batches[k % len(batches)]))


PARTS = [
    Part("rskip-step", f"skipln {{precision}}, rSkip+LN λ = {LAM}", "the same with λ = 1", BASE_WORK, against_once,
         n=30, goal=0.95)  # λ = 4 may take 1.05 times as long
]  # fmt: skip
