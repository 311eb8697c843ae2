"""BPE: our learner's codes equal subword-nmt's, and encoding can be undone without loss."""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from subword_nmt import apply_bpe, learn_bpe

from skipln.data.text.bpe import Learner, Segmenter, joined, ranks, read_codes, split, write_codes
from skipln.errors import UserError
from tests.data.text.conftest import SENTENCES

COUNTS: dict[str, int] = {}
for pair in SENTENCES:
    for word in " ".join(pair).split():
        COUNTS[word] = COUNTS.get(word, 0) + 1


def reference(counts: dict[str, int], merges: int) -> str:
    codes = io.StringIO()
    words = [f"{word} {count}\n" for word, count in counts.items()]
    with Path(os.devnull).open("w") as quiet, contextlib.redirect_stderr(quiet):
        learn_bpe.learn_bpe(words, codes, merges, is_dict=True)
    return codes.getvalue()


def learn(counts: Iterable[tuple[str, int]], merges: int) -> Iterator[tuple[str, str]]:
    return Learner(counts).merges(merges)


COUNTED = st.dictionaries(
    st.text(st.sampled_from("aabcé"), min_size=1, max_size=9), st.integers(1, 9), min_size=1, max_size=30
)


@given(COUNTED)
def test_codes_equal_those_of_subword_nmt(counts: dict[str, int]) -> None:
    assume(any(len(word) > 1 for word in counts))  # subword-nmt fails if all words have one letter
    assert "".join(write_codes(learn(counts.items(), 60))) == reference(counts, 60)


def test_codes_of_real_words_equal_those_of_subword_nmt() -> None:
    assert "".join(write_codes(learn(COUNTS.items(), 200))) == reference(COUNTS, 200)


@given(COUNTED)
def test_a_learner_knows_the_parts_of_its_words(counts: dict[str, int]) -> None:
    learner = Learner(counts.items())
    codes = list(learner.merges(60))
    assert list(learner.parts()) == [split(word, ranks(codes)) for word in counts]


def test_a_learner_knows_the_parts_of_real_words() -> None:
    learner = Learner(COUNTS.items())
    codes = list(learner.merges(10_000))
    assert list(learner.parts()) == [split(word, ranks(codes)) for word in COUNTS]


def test_known_parts_are_used_as_they_are(codes: Path) -> None:
    known = codes.with_name("parts")
    known.write_text("word w@@ ord\n", "utf-8")
    assert Segmenter(codes, known)(["word"]) == "w@@ ord"


def test_without_frequent_pairs_nothing_is_learnt() -> None:
    assert list(learn([("a", 5), ("b", 3)], 10)) == []
    assert list(learn([("ab", 1)], 10)) == []  # occurs only once


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    path = tmp_path / "codes"
    path.write_text("".join(write_codes(learn(COUNTS.items(), 80))), "utf-8")
    return path


@given(COUNTED, st.lists(st.text(st.sampled_from("aabcéd"), min_size=1, max_size=12), max_size=12))
def test_encoding_equals_that_of_subword_nmt(counts: dict[str, int], words: list[str]) -> None:
    assume(any(learn(counts.items(), 1)))  # subword-nmt exits if there are no codes
    with tempfile.TemporaryDirectory() as folder:
        codes = Path(folder) / "codes"
        codes.write_text("".join(write_codes(learn(counts.items(), 60))), "utf-8")
        with codes.open(encoding="utf-8") as file:
            theirs = apply_bpe.BPE(file)
        assert Segmenter(codes)(words) == " ".join(theirs.segment_tokens(words))


def test_joining_undoes_encoding(codes: Path) -> None:
    segment = Segmenter(codes)
    for pair in SENTENCES:
        for line in pair:
            parts = segment(line.split())
            assert joined(parts.split()) == line.split()
    assert "@@ " in parts
    assert joined(["ab@@"]) == ["ab"]  # a translation may end in the middle of a word
    assert joined([]) == []


@pytest.mark.parametrize("content", [None, b"", b"#version: 0.1\na b\n", b"#version: 0.2\na b c\n", b"\xff\xfe"])
def test_a_file_that_has_no_codes_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "codes").write_bytes(content)
    with pytest.raises(UserError, match=r"codes: .*prepare the data again"):
        read_codes(tmp_path / "codes")
