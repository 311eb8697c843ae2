"""Run blocks of a parallel corpus through Moses and BPE: the work of `preparation`'s worker processes."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from skipln.data.text.bpe import Segmenter, marked
from skipln.data.text.moses import Normaliser, Tokeniser, plain
from skipln.errors import UserError

BLOCK = 10_000  # pairs
MAX_CHARACTERS = 1000  # of a word; longer strings are not words, and BPE takes time quadratic in the length
_ENTITIES = {"&quot;": '"', "&apos;": "'", "&lt;": "<", "&gt;": ">", "&#91;": "[", "&#93;": "]", "&#124;": "|"}


@dataclass(frozen=True)
class Block:
    """Undecoded lines of two files, from line number `first` on."""

    names: tuple[str, str]
    first: int
    lines: tuple[list[bytes], list[bytes]]


@dataclass(frozen=True)
class Encoded:
    """The pairs of a block that were kept, as text, and counts of their words (or parts of words) over both sides."""

    texts: tuple[str, str]
    pairs: int
    counts: Counter[str]
    source_words: int = 0  # words between spaces in all lines of the block


def blocks(source: Path, target: Path, lines: int | None = None) -> Iterator[Block]:
    """Read two files side by side. Raises `UserError` when one is longer, or they do not have `lines` lines."""
    done = 0
    with source.open("rb") as left, target.open("rb") as right:
        while True:
            read = list(islice(left, BLOCK)), list(islice(right, BLOCK))
            if len(read[0]) != len(read[1]):
                counts = [
                    done + len(side) + sum(1 for _ in file) for side, file in zip(read, (left, right), strict=True)
                ]
                raise UserError(f"{source} has {counts[0]:,} lines and {target} has {counts[1]:,}; prepare them again")
            if not read[0]:
                break
            yield Block((str(source), str(target)), done + 1, read)
            done += len(read[0])
    if lines is not None and done != lines:
        raise UserError(f"{source} has {done:,} lines, not {lines:,}; prepare it again")


class Tokenise:
    """Turn raw lines into tokens. With `drop` (train), leave out pairs that cannot pass the cleaning after BPE: those
    with a side that is empty, has more than `max_tokens` words, or a word of more than `MAX_CHARACTERS`."""

    def __init__(self, languages: tuple[str, str], tokenise: bool, max_tokens: int, drop: bool) -> None:
        self.sides = [tokeniser(language, tokenise) for language in languages]
        self.max_tokens, self.drop = max_tokens, drop

    def __call__(self, block: Block) -> Encoded:
        texts: tuple[list[str], list[str]] = ([], [])
        counts: Counter[str] = Counter()
        words = 0
        left, right = (_decoded(block, side) for side in (0, 1))
        for raw in zip(left, right, strict=True):
            lines = [plain(line) for line in raw]
            words += lines[0].count(" ") + bool(lines[0])
            if self.drop and not all(map(self._sensible, lines)):
                continue
            pair = [tokens(line) for tokens, line in zip(self.sides, lines, strict=True)]
            for side, tokens in enumerate(pair):
                texts[side].append(" ".join(tokens))
                counts.update(tokens)
        return Encoded((_text(texts[0]), _text(texts[1])), len(texts[0]), counts, words)

    def _sensible(self, line: str) -> bool:
        # Neither tokenisation nor BPE ever reduces the number of words.
        if not line or line.count(" ") >= self.max_tokens:
            return False
        return len(line) <= MAX_CHARACTERS or max(map(len, line.split())) <= MAX_CHARACTERS


class Segment:
    """Turn tokens into parts of words. With `drop` (train), leave out pairs with an empty side, a side of more than
    `max_tokens` parts, or one more than `max_ratio` times as long as the other (Moses' clean-corpus-n)."""

    def __init__(self, codes: Path, known: Path, max_tokens: int, max_ratio: float, drop: bool) -> None:
        self.segment = Segmenter(codes, known)
        self.max_tokens, self.max_ratio, self.drop = max_tokens, max_ratio, drop

    def __call__(self, block: Block) -> Encoded:
        texts: tuple[list[str], list[str]] = ([], [])
        counts: Counter[str] = Counter()
        left, right = (_decoded(block, side) for side in (0, 1))
        for pair in zip(left, right, strict=True):
            parts = [self.segment(map(marked, line.split())) for line in pair]
            if self.drop and not self._clean(*(line.count(" ") + bool(line) for line in parts)):
                continue
            for side, line in enumerate(parts):
                texts[side].append(line)
                counts.update(line.split())
        return Encoded((_text(texts[0]), _text(texts[1])), len(texts[0]), counts)

    def _clean(self, source: int, target: int) -> bool:
        shorter, longer = sorted((source, target))
        return shorter >= 1 and longer <= self.max_tokens and longer <= self.max_ratio * shorter


def tokeniser(language: str, moses: bool) -> Callable[[str], list[str]]:
    """Return a function that tokenises a `plain` line with Moses, or only unescapes text that comes tokenised."""
    return _Moses(language) if moses else _unescaped


class _Moses:
    def __init__(self, language: str) -> None:
        self.normalise, self.tokenise = Normaliser(language), Tokeniser(language)

    def __call__(self, line: str) -> list[str]:
        return self.tokenise(self.normalise(line))


def _unescaped(line: str) -> list[str]:
    """Return the tokens of a line that was tokenised with Moses, without its XML escapes."""
    if "&" in line:
        for entity, character in _ENTITIES.items():
            line = line.replace(entity, character)
        line = line.replace("&amp;", "&")
    return line.split()


def _decoded(block: Block, side: int) -> list[str]:
    try:
        return b"".join(block.lines[side]).decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        for number, raw in enumerate(block.lines[side], block.first):
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError as error:
                name = block.names[side]
                raise UserError(f"{name}:{number}: not UTF-8; remove the downloaded archive and start again") from error
        raise


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
