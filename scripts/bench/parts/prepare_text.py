"""Measure WMT14's preparation, from raw files to BPE-encoded ones, on synthetic text; print one line of JSON.

The text is drawn word by word from Zipf's law over made-up words as long as English and German ones, with punctuation,
numbers and hyphens as often as in news. No corpus is needed, and new words keep appearing as they do in real text.
"""

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.peers import moses_peer
from scripts.bench.records.harness import Part, Sides
from skipln.data.text.published import corpora
from skipln.data.text.published.corpora import Corpus, Origin, Recipe
from skipln.data.text.published.download import Remote
from skipln.data.text.published.preparation import STEPS, prepare
from skipln.system.places import ROOT

WORDS = 25  # per sentence
TYPES = 5_000_000  # different words that can be drawn
# About 1.75M different words in 100M, as WMT's German has (Sennrich et al. 2016, table 1); English has fewer.
EXPONENT = 1.28
# A word of rank r has 2 + LETTERS · lg r letters on average, by language. This was fitted by eye to the training text
# of Multi30k and the demo, where rare words are about half as long again in German as in English.
LETTERS = (1.3, 2.0)
_SYLLABLES = [a + b + c for a in "bdfgklmnprstvw" for b in "aeiou" for c in ("", "n", "r", "s", "t", "l")]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.parts.prepare_text", description=__doc__)
    parser.add_argument("--pairs", type=int, default=200_000, help="pairs of sentences, 25 words each [200000]")
    parser.add_argument("--merges", type=int, default=37_000, help="BPE merges [37000]")
    parser.add_argument("--workers", type=int, default=2, help="processes [2]")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe = synthetic(Path(folder), options.pairs, options.merges, options.seed)
        print(json.dumps(measure(recipe, Path(folder), options.workers, Path(folder) / "out") | vars(options)))


def measure(recipe: Recipe, downloads: Path, workers: int, made: Path) -> dict[str, Any]:
    """Wall-clock and processor seconds (all processes) of `prepare` and its steps, its rate in source words, memory."""
    wall, cpu = time.monotonic(), _cpu_seconds()
    about = prepare(recipe, made, downloads, workers, progress=False)
    wall, cpu = time.monotonic() - wall, _cpu_seconds() - cpu
    memory = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    words = about["source_words"]
    steps = json.loads((made / STEPS).read_text("utf-8"))["done"]
    return {
        "source_words": words,
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "seconds_of_steps": {name: said["seconds"] for name, said in steps.items()},
        "source_words_per_second": round(words / wall),
        "source_words_per_cpu_second": round(words / cpu),
        "load_average_at_end": round(os.getloadavg()[0], 1),
        "largest_process_mib": round(max(memory)),
        "vocabulary": about["vocabulary"],
    }


def synthetic(folder: Path, pairs: int, merges: int, seed: int) -> Recipe:
    """WMT14's recipe with `pairs` drawn pairs as its only training corpus."""
    recipe = corpora.wmt14_en_de(merges=merges)
    drawn: list[Future[None]] = []
    with ProcessPoolExecutor(len(recipe.languages)) as others:  # their memory is not the preparation's

        def made(name: str, count: int, offset: int) -> Corpus:
            origins = []
            for side, language in enumerate(recipe.languages):
                remote, drawing = Remote(f"{name}.{language}", ()), (seed * 10 + offset + side, LETTERS[side])
                drawn.append(others.submit(write, folder / remote.name, count, *drawing))
                origins.append(Origin(remote, {language: (remote.name,)}))
            return Corpus(name, (tuple(origins),))

        train, valid, test = made("drawn", pairs, 0), made("valid", 500, 2), made("test", 500, 4)
        for writing in drawn:
            writing.result()
    return replace(recipe, train=(train,), valid=valid, test=test)


def write(path: Path, count: int, seed: int, letters: float) -> None:
    """Write `count` sentences of `WORDS` words; words that are ten times rarer are `letters` letters longer."""
    draw = np.random.default_rng(seed)
    weights = 1 / np.arange(2, TYPES + 2) ** EXPONENT
    sums = np.cumsum(weights / weights.sum())
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, count, 10_000):
            size = min(10_000, count - start) * WORDS
            ranks = np.minimum(np.searchsorted(sums, draw.random(size)), TYPES - 1)
            marks = draw.random(size)
            words = [_word(rank, mark, letters) for rank, mark in zip(ranks.tolist(), marks.tolist(), strict=True)]
            for i in range(0, size, WORDS):
                file.write(f"{' '.join(words[i : i + WORDS]).capitalize()}.\n")


def _word(rank: int, mark: float, letters: float) -> str:
    """The word of a rank, always the same and longer if rarer, with the punctuation that `mark` adds."""
    word = _stem(rank, letters)
    if mark < 0.05:
        return f"{word},"
    if mark < 0.06:
        return f"({word})"
    if mark < 0.07:
        return f'"{word}"'
    if mark < 0.08:
        return f"{word}-{word[:3]}"
    if mark < 0.09:
        return str(rank)
    if mark < 0.095:
        return f"{word}'s"
    return word.capitalize() if rank % 5 == 0 else word


@lru_cache(500_000)
def _stem(rank: int, letters: float) -> str:
    draw = random.Random(rank)
    length = round((2 + letters * math.log10(rank + 1)) * (0.5 + draw.random()))
    return "".join(draw.choices(_SYLLABLES, k=1 + length // 2))[: max(1, length)]


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


PAIRS, MERGES, LONG = 20_000, 4_000, 4_500_000  # LONG: WMT14's


def against_moses(_precision: str, pairs: int = PAIRS, merges: int = MERGES, long: int = LONG) -> Sides:
    """The peer needs minutes for the compared text; `found` is our rate on more text, with WMT14's 37k merges."""
    kept = tempfile.TemporaryDirectory()  # deleted when the process ends
    recipe = synthetic(Path(kept.name), pairs, merges, seed=1)
    raw = {language: Path(kept.name) / f"drawn.{language}" for language in recipe.languages}

    def ours(_k: int) -> None:
        with tempfile.TemporaryDirectory(dir=kept.name) as folder:
            measure(recipe, Path(kept.name), 2, Path(folder))

    def peer(_k: int) -> None:
        with tempfile.TemporaryDirectory(dir=kept.name) as folder:
            moses_peer.prepare(raw, Path(folder), merges, recipe.max_tokens, recipe.max_ratio)

    def found() -> dict[str, Any]:
        command = [sys.executable, "-m", "scripts.bench.parts.prepare_text", f"--pairs={long}"]  # has its own memory
        printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        said = json.loads(printed)
        rate = (
            f"{said['source_words_per_second']:,} source words a second and at most {said['largest_process_mib']:,} MiB"
        )
        return {"long": said, "found": f"{rate} a process with {long:,} pairs and {said['merges']:,} merges"}

    return Sides(ours, peer, found)


PARTS = [
    Part("prepare-text", "skipln's preparation, 2 processes", "sacremoses and subword-nmt, 2 processes",
         f"Moses and joint BPE of {PAIRS:,} drawn pairs of {WORDS} words, {MERGES:,} merges", against_moses,
         n=3, warmup=0, precision="fp32", needs=("sacremoses", "subword_nmt")),
]  # fmt: skip


if __name__ == "__main__":
    main()
