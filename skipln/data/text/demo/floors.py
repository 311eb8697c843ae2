"""What no learning at all scores: the floors a translation result on a corpus is read against."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from skipln.data.text.demo.cleaning import words


def nearest(queries: Sequence[str], lines: Sequence[str]) -> list[int]:
    """For each query the index of the line with the highest word-set Jaccard similarity; ties go to the first line."""
    sets = [set(words(line)) for line in lines]
    index: defaultdict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(sets):
        for word in one:
            index[word].append(number)
    return [_closest(set(words(query)), sets, index) for query in queries]


def _closest(asked: set[str], sets: list[set[str]], index: dict[str, list[int]]) -> int:
    common = Counter(number for word in asked for number in index.get(word, ()))
    return max(common, key=lambda i: (common[i] / (len(asked) + len(sets[i]) - common[i]), -i), default=0)
