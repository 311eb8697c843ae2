"""Byte-pair encoding (Sennrich et al. 2016): learn codes in subword-nmt's format fast, apply them, undo them."""

import heapq
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from skipln.errors import UserError

SEPARATOR = "@@"  # ends every part of a word but the last
REMEMBERED = 1_000_000  # words whose parts an encoder remembers
VERSION = "#version: 0.2"
_MARKS = re.compile(r"(@@|<s>|</s>|<pad>|<unk>)\\*$")
_END = "</w>"
_NEVER = 1 << 62  # the rank of what was not learnt
_WORDS = 1 << 17  # words read at a time
_SLICE = 1 << 21  # symbols whose pairs are counted at a time
_MANY = 1 << 16  # places of a merge from which on saving memory matters more than speed


class Segmenter:
    """Split words into parts by the codes of a file, as subword-nmt's apply_bpe does.

    known: a file of words and their parts, as `Learner.parts` gives them, frequent words first. Raises `UserError` when
    the file of codes is missing or contains none.
    """

    def __init__(self, codes: Path, known: Path | None = None) -> None:
        self._ranks = ranks(read_codes(codes))
        self._known: dict[str, str] = {}
        if known is not None:
            with known.open(encoding="utf-8", newline="\n") as file:
                for line in islice(file, REMEMBERED):
                    word, _, parts = line.removesuffix("\n").partition(" ")
                    self._known[word] = parts

    def __call__(self, words: Iterable[str]) -> str:
        """Return the parts of all words, joined by spaces."""
        known = self._known.get
        return " ".join([known(word) or self._learn(word) for word in words])

    def _learn(self, word: str) -> str:
        parts = split(word, self._ranks)
        if len(self._known) < REMEMBERED:
            self._known[word] = parts
        return parts


def ranks(merges: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Map each pair to the position at which it was learnt first."""
    found: dict[tuple[str, str], int] = {}
    for rank, pair in enumerate(merges):
        found.setdefault(pair, rank)
    return found


def split(word: str, learnt: dict[tuple[str, str], int]) -> str:
    """Merge the earliest learnt pair, everywhere, until no learnt pair is left; return parts marked by `SEPARATOR`."""
    rank, never = learnt.get, _NEVER
    symbols = [*word[:-1], word[-1] + _END]
    found = [rank(pair, never) for pair in pairwise(symbols)]
    while found and (best := min(found)) != never:
        while best in found:  # from the left: where pairs overlap ("aaa"), merge the first
            at = found.index(best)
            symbols[at] += symbols.pop(at + 1)
            del found[at]
            if at:
                found[at - 1] = rank((symbols[at - 1], symbols[at]), never)
            if at < len(found):
                found[at] = rank((symbols[at], symbols[at + 1]), never)
    return _shown(symbols)


def _shown(symbols: list[str]) -> str:
    return f"{SEPARATOR} ".join([*symbols[:-1], symbols[-1].removesuffix(_END)])


def marked(word: str) -> str:
    """Append a backslash to a word that would be misread in a file of parts; return any other word unchanged.

    A word that ends in "@@" would be joined to the next, and others could leave a part that reads as a special symbol.
    `unmarked` removes this backslash and no other.
    """
    return f"{word}\\" if _MARKS.search(word) else word


def unmarked(word: str) -> str:
    """Undo `marked`."""
    return word[:-1] if word.endswith("\\") and _MARKS.search(word) else word


def joined(tokens: Iterable[str]) -> list[str]:
    """Join parts into words: "@@ " between two parts means that they belong to one word."""
    return f"{' '.join(tokens)} ".replace(f"{SEPARATOR} ", "").split()


def read_codes(path: Path) -> list[tuple[str, str]]:
    """Read the merges of a file of codes, in order. Raises `UserError` when it is missing or not such a file."""
    try:
        first, *lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as BPE codes ({error}); prepare the data again") from error
    merges = [tuple(line.split(" ")) for line in lines]
    if first != VERSION or any(len(merge) != 2 for merge in merges):
        raise UserError(f"{path}: not BPE codes of subword-nmt's version 0.2; prepare the data again")
    return merges  # type: ignore[return-value]


def write_codes(merges: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the lines of a file of codes."""
    yield f"{VERSION}\n"
    yield from (f"{left} {right}\n" for left, right in merges)


class Learner:
    """Learn the codes that subword-nmt's learn_bpe learns, and the parts of the words they are learnt from.

    counts: (word, frequency), each word once; it is read as a stream. All words are one array of symbols, and a merge
    is array arithmetic on the places of the rarer of its two symbols: millions of words take minutes, not hours.
    `symbols[i]` is the symbol at place i (-1: the gap between two words, -2: swallowed by a merge), `frequency[i]` the
    frequency of its word, `after[i]` and `before[i]` its neighbours' places.
    """

    def __init__(self, counts: Iterable[tuple[str, int]]) -> None:
        self.names: list[str] = []
        self.ids: dict[str, int] = {}
        flat, frequency = array("i", [-1]), array("i", [0])
        counts = iter(counts)
        while block := list(islice(counts, _WORDS)):
            symbols, of_word = self._read(*zip(*block, strict=True))
            flat.frombytes(symbols.tobytes())
            frequency.frombytes(of_word.tobytes())
        self.symbols = np.frombuffer(flat, np.int32)  # shares the arrays' memory: they are as long as the text …
        self.frequency = np.frombuffer(frequency, np.int32)  # … and are not copied
        self.places = self._places()  # needs most memory, so it is made before the arrays below
        self._link()
        self.late = np.zeros(len(self.symbols), bool)  # places of merges whose symbol existed before
        self.learnt: list[tuple[str, str]] = []
        self.pairs: Counter[int] = Counter()  # left << 32 | right -> frequency
        self.heap: list[tuple] = []
        self.order: dict[int, tuple[int, ...]] = {}
        self.threshold: float = np.inf  # pairs below it are not in the heap
        for start in range(0, len(self.symbols) - 1, _SLICE):
            left = np.arange(start, min(start + _SLICE, len(self.symbols) - 1))
            self._count(self.symbols[left], self.symbols[left + 1], self.frequency[left])

    def _read(self, words: tuple[str, ...], counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return the symbols of some words, with a gap after each word, and their frequencies."""
        lengths = np.fromiter(map(len, words), np.int32, len(words))
        ends = lengths.cumsum()
        characters = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32) << 1
        characters[ends - 1] |= 1  # the last character of a word is a symbol of its own
        found, place = np.unique(characters, return_inverse=True)
        ids = np.array([self._id(chr(code >> 1) + _END * (code & 1)) for code in found.tolist()], np.int32)
        return np.insert(ids[place], ends, -1), np.array(counts, np.int32).repeat(lengths + 1)

    def _link(self) -> None:
        self.after = np.arange(1, len(self.symbols) + 1, dtype=np.int32)
        self.before = np.arange(-1, len(self.symbols) - 1, dtype=np.int32)
        self.merged = np.zeros(len(self.symbols), bool)
        self.swallowed = 0

    def _compact(self) -> None:
        """Drop the places that merges have swallowed, which saves memory and moves what is read together closer."""
        alive = self.symbols != -2
        moved = alive.cumsum(dtype=np.int32) - 1
        for symbol in self.places:
            self.places[symbol] = moved[self._alive(symbol)]
        self.symbols, self.frequency, self.late = (x[alive] for x in (self.symbols, self.frequency, self.late))
        self._link()

    def _id(self, name: str) -> int:
        if name not in self.ids:
            self.ids[name] = len(self.names)
            self.names.append(name)
        return self.ids[name]

    def _places(self) -> dict[int, np.ndarray]:
        found: list[list[np.ndarray]] = [[] for _ in self.names]
        for start in range(0, len(self.symbols), _SLICE):
            part = self.symbols[start : start + _SLICE]
            small = part.astype(np.int16) if len(found) < 1 << 15 else part  # numpy sorts two bytes many times faster
            order = np.argsort(small, kind="stable").astype(np.int32)
            symbols, first = np.unique(part[order], return_index=True)
            for symbol, places in zip(symbols.tolist(), np.split(order + np.int32(start), first[1:]), strict=True):
                if symbol >= 0:
                    found[symbol].append(places.copy())
        return {symbol: np.concatenate(places) for symbol, places in enumerate(found)}

    def merges(self, count: int, min_frequency: int = 2) -> Iterator[tuple[str, str]]:
        """Yield the most frequent pair of neighbouring symbols, `count` times, merging each before seeking the next.

        Ties go to the pair that comes last in code-point order, as in learn_bpe. Stops early when no pair occurs
        `min_frequency` times.
        """
        for _ in range(count):
            pair = self._most_frequent(min_frequency)
            if pair is None:
                return
            left, right = pair >> 32, pair & 0xFFFFFFFF
            self.learnt.append((self.names[left], self.names[right]))
            self._merge(left, right)
            del self.pairs[pair]
            if 2 * self.swallowed > len(self.symbols):
                self._compact()
            yield self.learnt[-1]

    def parts(self) -> Iterator[str]:
        """Yield the parts that a `Segmenter` with these codes gives for each word, in the words' order.

        They are what the merges have left of a word. But if a merge made a symbol that already existed, pairs with that
        symbol may have been learnt earlier, and a segmenter would have merged them at once: such words are split again.
        """
        learnt = ranks(self.learnt)
        gaps = np.flatnonzero(self.symbols == -1)
        for first in range(0, len(gaps) - 1, _WORDS):
            block = gaps[first : first + _WORDS + 1]
            anew: np.ndarray = np.logical_or.reduceat(self.late[: block[-1]], block[:-1])
            for (start, end), late in zip(pairwise(block.tolist()), anew, strict=True):
                symbols = [self.names[symbol] for symbol in self.symbols[start + 1 : end].tolist() if symbol >= 0]
                yield split("".join(symbols).removesuffix(_END), learnt) if late else _shown(symbols)

    def _most_frequent(self, minimum: int) -> int | None:
        """Return the most frequent pair. A falling threshold keeps rare pairs out of the heap, which stays small."""
        while True:
            while self.heap:
                negative, _, _, pair = heapq.heappop(self.heap)
                found = self.pairs.get(pair, 0)
                if found == -negative:
                    return pair
                if self.threshold <= found < -negative:
                    self._push(pair, found)
            best = max(self.pairs.values(), default=0)
            if best < minimum:
                return None
            self.threshold = max(minimum, best // 2)
            self.pairs = Counter({pair: found for pair, found in self.pairs.items() if found > 0})
            for pair, found in self.pairs.items():
                if found >= self.threshold:
                    self._push(pair, found)

    def _push(self, pair: int, found: int) -> None:
        heapq.heappush(self.heap, (-found, self._late(pair >> 32), self._late(pair & 0xFFFFFFFF), pair))

    def _late(self, symbol: int) -> tuple[int, ...]:
        """Return a key that sorts names by code point, last first."""
        if symbol not in self.order:
            self.order[symbol] = (*(-ord(character) for character in self.names[symbol]), 1)
        return self.order[symbol]

    def _merge(self, left: int, right: int) -> None:
        first = self._find(left, right)
        second = self.after[first]
        frequency = self.frequency[first]
        outer_left, outer_right = self.before[first], self.after[second]
        old_right = self.symbols[outer_right]
        self.symbols[second] = -2
        self.swallowed += len(second)
        # Between two adjacent merges ("abab") one old pair is lost, not two: the second's left is the first's -2.
        lost_left = self.symbols[outer_left]

        name = self.names[left] + self.names[right]
        if name in self.ids:
            self.late[first] = True
        new = self._id(name)  # several merges may give one name, and so one symbol
        self.symbols[first] = new
        self.after[first] = outer_right
        self.before[outer_right] = first
        self.places[new] = np.concatenate([self.places[new], first]) if new in self.places else first
        outer_left = self.before[first]
        self.merged[first] = True
        alone = ~self.merged[outer_right]
        self.merged[first] = False
        gained_right = self.symbols[outer_right[alone]]
        changed: list[tuple[np.ndarray, ...]] = [  # (left, right, frequency) of pairs
            (lost_left, np.full_like(first, left), -frequency),
            (np.full_like(first, right), old_right, -frequency),
            (self.symbols[outer_left], np.full_like(first, new), frequency),
            (np.full_like(gained_right, new), gained_right, frequency[alone]),
        ]
        if len(first) < _MANY:  # a single call is faster, but needs more memory when there are many
            changed = [tuple(map(np.concatenate, zip(*changed, strict=True)))]
        for pairs in changed:
            self._count(*pairs)

    def _find(self, left: int, right: int) -> np.ndarray:
        """Return the places of `left` that `right` follows, ascending; where they overlap ("aaa"), only the first."""
        if len(self.places[left]) <= len(self.places[right]):
            first = self._alive(left)
            first = first[self.symbols[self.after[first]] == right]
        else:
            first = self.before[self._alive(right)]
            first = first[self.symbols[first] == left]
        if left == right:
            first = np.sort(first)
            chosen: set[int] = set()
            for place, before in zip(first.tolist(), self.before[first].tolist(), strict=True):
                if before not in chosen:
                    chosen.add(place)
            first = first[np.isin(first, list(chosen))]
        return first

    def _alive(self, symbol: int) -> np.ndarray:
        places = self.places[symbol]
        self.places[symbol] = places = places[self.symbols[places] == symbol]
        return places

    def _count(self, left: np.ndarray, right: np.ndarray, frequency: np.ndarray) -> None:
        """Add to the frequencies of pairs; two symbols with a gap between them are not a pair."""
        real = (left >= 0) & (right >= 0)
        keys, inverse = np.unique(left[real].astype(np.int64) << 32 | right[real], return_inverse=True)
        sums = np.bincount(inverse, frequency[real], len(keys)).astype(np.int64)
        pairs = self.pairs
        for pair, change in zip(keys.tolist(), sums.tolist(), strict=True):
            found = pairs[pair] = pairs[pair] + change
            if change > 0 and found >= self.threshold:
                self._push(pair, found)
