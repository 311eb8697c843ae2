import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipln.data.text.corpus import ParallelCorpus, TokenCorpus, TokenWriter, binarise
from skipln.data.text.vocabulary import Vocabulary
from skipln.errors import UserError

SENTENCES = st.lists(st.lists(st.integers(4, 65_535), max_size=20), max_size=20)


class Spelling:
    """Stands in for a Vocabulary: every character is a token."""

    def __len__(self) -> int:
        return 200

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        return [[ord(character) for character in line] for line in lines]


SPELLING = cast(Vocabulary, Spelling())


def write(path: Path, sentences: list[list[int]], size: int = 1000) -> TokenCorpus:
    with TokenWriter(path, size) as writer:
        for ids in sentences:
            writer.add(ids)
    return TokenCorpus(path)


@given(SENTENCES, st.sampled_from([65_535, 65_536]))
def test_sentences_are_read_as_written(sentences: list[list[int]], size: int) -> None:
    with TemporaryDirectory() as folder:
        corpus = write(Path(folder) / "a.en", sentences, size)
        assert [ids.tolist() for ids in corpus] == sentences
        assert corpus.lengths.tolist() == [len(ids) for ids in sentences]
        assert corpus.tokens.dtype == (np.uint16 if size < 65_536 else np.int32) or not corpus.tokens.size


def test_tokens_are_mapped_and_read_only(tmp_path: Path) -> None:
    corpus = write(tmp_path / "a", [[4, 5], [6]])
    assert isinstance(corpus.tokens, np.memmap)
    assert isinstance(corpus.offsets, np.memmap)
    assert corpus[-1].tolist() == [6]
    with pytest.raises(IndexError):
        corpus[2]
    with pytest.raises(ValueError, match="read-only"):
        corpus[0][0] = 7


def test_truncated_and_missing_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", [[4, 5, 6]])
    (tmp_path / "a.bin").write_bytes(b"123")
    with pytest.raises(UserError, match="3 bytes for 3 tokens"):
        TokenCorpus(tmp_path / "a")
    with pytest.raises(UserError, match="cannot be read"):
        TokenCorpus(tmp_path / "b")


def test_sides_of_unequal_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 source but 2 target"):
        ParallelCorpus(write(tmp_path / "a", [[4]]), write(tmp_path / "b", [[4], [5]]))


@pytest.mark.parametrize(("drop", "kept"), [(True, ["ab", "abc"]), (False, ["ab", "abcde", "ab", "abc"])])
def test_long_pairs_are_dropped_from_train_and_cut_elsewhere(tmp_path: Path, drop: bool, kept: list[str]) -> None:
    pairs = [("ab", "x"), ("abcdefgh", "x" * 10_000), ("ab", "xxxxxx"), ("abc", "xxxxx")]
    out = tmp_path / "a.en", tmp_path / "a.de"
    assert binarise(pairs, SPELLING, *out, max_length=5, drop_long=drop) == {"pairs": len(kept), "long": 2}
    source, target = map(TokenCorpus, out)
    assert ["".join(map(chr, ids)) for ids in source] == kept
    assert target.lengths.tolist() == ([1, 5] if drop else [1, 5, 5, 5])


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            binarise((("s" * 50, "t" * 50) for _ in range(count)), SPELLING, tmp_path / "a", tmp_path / "b", 99, True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    binarise([("a", "b")], SPELLING, tmp_path / "a", tmp_path / "b", 99, True)
    # The offsets take 8 bytes per sentence, and arrays allocate more than they need.
    assert peak(40_000) < 1.2 * peak(10_000) + 2 * 8 * 30_000 * 2
