"""A train/valid/test split that does not leak: split by a hash of the source, then drop near-duplicates from train."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction

from skipln.data.text.demo.cleaning import words

Pair = tuple[str, str]
THRESHOLD = Fraction(3, 5)  # exact, since 0.6 in floating point would decide ties by rounding


def source_hash(pair: Pair) -> str:
    """Return the SHA-256 of a pair's normalised source. It sets the pair's place in the split, on every machine."""
    return hashlib.sha256(" ".join(words(pair[0])).encode()).hexdigest()


def split(pairs: Iterable[Pair], held_out: int) -> dict[str, list[Pair]]:
    """Split pairs (one per normalised source) into test and valid, of `held_out` pairs each, and train, the rest.

    Pairs are ordered by `source_hash`. Train loses every pair that has, on either side, a word-set Jaccard similarity
    of at least `THRESHOLD` with a valid or test line, because a hash split alone leaks templates.
    """
    ordered = sorted(pairs, key=lambda pair: (source_hash(pair), pair))
    test, valid, train = ordered[:held_out], ordered[held_out : 2 * held_out], ordered[2 * held_out :]
    leaks: set[int] = set()
    for side in (0, 1):
        leaks |= near_duplicates([pair[side] for pair in train], [pair[side] for pair in test + valid])
    return {"train": [pair for i, pair in enumerate(train) if i not in leaks], "valid": valid, "test": test}


def near_duplicates(lines: Sequence[str], others: Sequence[str], threshold: Fraction = THRESHOLD) -> set[int]:
    """Return the indices of `lines` whose word set has a Jaccard similarity >= `threshold` with one of `others`.

    This is prefix filtering (Chaudhuri et al. 2006; Bayardo et al. 2007): sets as similar as that share at least one of
    their few rarest words, so only lines that meet in an inverted index over these are compared.
    """
    sets, other_sets = [set(words(line)) for line in lines], [set(words(line)) for line in others]
    frequency = Counter(word for group in (sets, other_sets) for one in group for word in one)

    def rarest(one: set[str]) -> list[str]:
        overlap = -(-threshold.numerator * len(one) // threshold.denominator)  # similar sets share at least this many
        return sorted(one, key=lambda word: (frequency[word], word))[: len(one) - overlap + 1]

    index: defaultdict[str, list[int]] = defaultdict(list)
    for number, other in enumerate(other_sets):
        for word in rarest(other):
            index[word].append(number)

    def is_near(one: set[str]) -> bool:
        candidates = {number for word in rarest(one) for number in index.get(word, ())}
        return any(_similar(one, other_sets[number], threshold) for number in candidates)

    return {number for number, one in enumerate(sets) if is_near(one)}


def _similar(one: set[str], other: set[str], threshold: Fraction) -> bool:
    common = len(one & other)
    return common * threshold.denominator >= (len(one) + len(other) - common) * threshold.numerator
