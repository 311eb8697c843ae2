"""Floors for translation results on a corpus: what scores without any learning."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from skipln.data.text.demo.cleaning import words


def nearest(queries: Sequence[str], lines: Sequence[str]) -> list[int]:
    """Return for each query the index of the line with the highest word-set Jaccard similarity, of equals the first."""
    sets = [set(words(line)) for line in lines]
    index: defaultdict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(sets):
        for word in one:
            index[word].append(number)
    return [_closest(set(words(query)), sets, index) for query in queries]


def _closest(asked: set[str], sets: list[set[str]], index: dict[str, list[int]]) -> int:
    common = Counter(number for word in asked for number in index.get(word, ()))
    return max(common, key=lambda i: (common[i] / (len(asked) + len(sets[i]) - common[i]), -i), default=0)
