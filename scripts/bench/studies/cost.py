"""Measure the cost of an update against λ, depth, length and vocabulary: a picture, and its numbers as CSV.

`python -m scripts.bench.studies.cost` writes cost.csv and cost.svg for this machine to results/bench.
"""

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from tqdm import tqdm

from scripts.bench.comparisons import best_precision
from scripts.bench.parts.mt_step import SMALL, our_step
from scripts.bench.parts.text import random_batches
from scripts.bench.records.cost_picture import picture
from scripts.bench.records.hardware import folder
from scripts.bench.records.page import write_page
from skipln.data.text.padding import Batch
from skipln.engine.environment import describe
from skipln.models.transformer import TransformerShape
from skipln.report.picture import write
from skipln.system.allocator import keep_freed_memory
from skipln.system.files import atomic_write

Step = Callable[[], object]
VOCABULARY, TOKENS = 6_000, 2_048
VALUES = {  # per axis; otherwise a Transformer of 3+3 layers, d 256, vocabulary 6k, sentences of about 14 tokens
    "λ of rSkip+LN": [1, 2, 3, 4, 6, 8],
    "layers": [6, 12, 24, 48],
    "length": [32, 128, 512, 1024],
    "vocabulary": [1_000, 6_000, 32_000, 64_000],
}


def step(axis: str, value: int, precision: str, shape: TransformerShape = SMALL, tokens: int = TOKENS) -> Step:
    """An update of 2,048 tokens with one size changed."""
    layers = value // 2 if axis == "layers" else shape.encoder_layers
    shape = replace(shape, encoder_layers=layers, decoder_layers=layers)
    vocabulary = value if axis == "vocabulary" else VOCABULARY
    if axis == "length":
        batch = Batch(*torch.randint(4, vocabulary, (3, max(tokens // value, 1), value)))
    else:
        batch = random_batches(vocabulary, tokens, 1, 14)[0]
    skip = {"name": "rskip_ln", "lam": value} if axis.startswith("λ") else {"name": "xskip_ln", "lam": 1.0}
    return partial(our_step(vocabulary, shape, precision, skip), batch)


def measure(steps: Sequence[Step], n: int, label: str) -> list[list[float]]:
    """n times in seconds for each of `steps`, which take turns."""
    seconds: list[list[float]] = [[] for _ in steps]
    for turn in tqdm(range(n + 1), desc=label, unit="round", leave=False):
        for taken, one in zip(seconds, steps, strict=True):
            started = time.perf_counter()
            one()
            if turn:  # the first round warms up
                taken.append(time.perf_counter() - started)
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.studies.cost", description=__doc__)
    parser.add_argument("--n", type=int, default=5, help="updates of each kind [5]")
    parser.add_argument("--tokens", type=int, default=TOKENS, help=f"tokens per batch [{TOKENS}]")
    parser.add_argument("--folder", type=Path, help="where to write [this machine's in results/bench]")
    options = parser.parse_args(arguments)
    into = options.folder or folder()
    keep_freed_memory()
    torch.set_flush_denormal(True)
    precision, here = best_precision(), describe(torch.device("cpu"))
    commit = f"{here['commit']}{' with changes' if here['dirty'] else ''}"
    rows = []
    for axis, values in VALUES.items():
        steps = [step(axis, value, precision, tokens=options.tokens) for value in values]
        for value, seconds in zip(values, measure(steps, options.n, axis), strict=True):
            low, high = (f"{1000 * pick(seconds):.1f}" for pick in (min, max))
            rows.append({
                "axis": axis, "value": str(value), "milliseconds": f"{1000 * median(seconds):.1f}", "fastest": low,
                "slowest": high, "n": str(options.n), "precision": precision, "threads": str(here["threads"]),
                "cpu": here["cpu"], "commit": commit,
            })  # fmt: skip
    with atomic_write(into / "cost.csv", "w") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write({"cost": picture(into)}, into)
    if not options.folder:
        write_page()


if __name__ == "__main__":
    main()
