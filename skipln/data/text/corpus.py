"""Token corpora in memory-mapped files: of any size, opened at once, and shared between processes by the kernel.

`<name>.bin` contains the ids of all sentences in a row (uint16, or int32 for a vocabulary of 65,536 or more), and
`<name>.offsets.npy` the position where each begins, int64 [sentences + 1].
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np

from skipln.data.text.subwords import SubwordVocabulary
from skipln.data.text.vocabulary import Vocabulary
from skipln.errors import UserError

BLOCK = 10_000  # pairs encoded at a time


class TokenCorpus:
    """Read-only sentences of token ids: `corpus[i]` is a view of the file, int [length of i]."""

    def __init__(self, path: Path) -> None:
        """Map `<path>.bin` and `<path>.offsets.npy`. Raises `UserError` when they are missing or do not match."""
        tokens = path.with_name(f"{path.name}.bin")
        try:
            self.offsets = np.load(path.with_name(f"{path.name}.offsets.npy"), mmap_mode="r", allow_pickle=False)
            total, size = int(self.offsets[-1]), tokens.stat().st_size
        except (OSError, ValueError, EOFError, IndexError) as error:
            raise UserError(f"{path}: cannot be read as a token corpus; remove its folder to build it again") from error
        if size not in (2 * total, 4 * total):
            raise UserError(f"{tokens}: {size} bytes for {total} tokens; remove its folder to build it again")
        dtype = np.uint16 if size == 2 * total else np.int32
        # An empty file cannot be mapped.
        self.tokens: np.ndarray = np.memmap(tokens, dtype, mode="r") if total else np.zeros(0, dtype)
        self.lengths: np.ndarray = np.diff(self.offsets).astype(np.int32)  # [sentences], without begin and end symbols

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]


@dataclass(frozen=True)
class ParallelCorpus:
    """Two corpora of equal length: sentence i of one is the translation of sentence i of the other."""

    source: TokenCorpus
    target: TokenCorpus

    def __post_init__(self) -> None:
        if len(self.source) != len(self.target):
            raise UserError(f"{len(self.source)} source but {len(self.target)} target sentences; build the data again")

    def __len__(self) -> int:
        return len(self.source)


class TokenWriter:
    """Writes a `TokenCorpus` sentence by sentence, with 8 bytes of memory for each. Only a clean exit completes it."""

    def __init__(self, path: Path, vocabulary_size: int) -> None:
        self._path, self._type = path, "H" if vocabulary_size < 1 << 16 else "i"
        self._offsets = array("q", [0])
        self._file = path.with_name(f"{path.name}.bin").open("wb")

    def add(self, ids: list[int]) -> None:
        array(self._type, ids).tofile(self._file)
        self._offsets.append(self._offsets[-1] + len(ids))

    def __enter__(self) -> "TokenWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()
        if error is None:
            np.save(self._path.with_name(f"{self._path.name}.offsets.npy"), np.frombuffer(self._offsets, np.int64))


def binarise(
    pairs: Iterable[tuple[str, str]],
    vocabulary: Vocabulary | SubwordVocabulary,
    source: Path,
    target: Path,
    max_length: int,
    drop_long: bool,
) -> dict[str, int]:
    """Encode a stream of (source, target) lines into two token corpora; return {"pairs": written, "long": long pairs}.

    A pair is long if a side has more than `max_length` tokens (without begin and end symbols). With `drop_long` (train)
    long pairs are left out; otherwise (valid, test) the side is cut, so that every sentence keeps its number.
    """
    counts = {"pairs": 0, "long": 0}
    remaining = iter(pairs)
    with TokenWriter(source, len(vocabulary)) as left, TokenWriter(target, len(vocabulary)) as right:
        while block := list(islice(remaining, BLOCK)):
            encoded = (vocabulary.encode([pair[side] for pair in block]) for side in (0, 1))
            for source_ids, target_ids in zip(*encoded, strict=True):
                long = max(len(source_ids), len(target_ids)) > max_length
                counts["long"] += long
                if not (long and drop_long):
                    left.add(source_ids[:max_length])
                    right.add(target_ids[:max_length])
                    counts["pairs"] += 1
    return counts
