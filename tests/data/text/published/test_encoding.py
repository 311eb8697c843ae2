"""Text written as parts of words is read back unchanged, for all of Unicode and all special marks of the formats."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipln.data.text import bpe
from skipln.data.text.lines import as_given, read_lines
from skipln.data.text.moses import Detokeniser, plain
from skipln.data.text.published.encoding import Block, Segment, Tokenise
from skipln.data.text.subwords import SubwordVocabulary
from skipln.data.text.vocabulary import EOS

MARKS = [
    "@@", "@", "@@ ", "@-@", "\\", "<s>", "</s>", "<pad>", "<unk>", "</w>", "▁", "▅", "\u200b", "\ufeff", "&", "&amp;",
    "&lt;", "&#124;", "&amp;lt;", "#fairseq:overwrite", " ", " ", "a", "và", "\u2028", "\x85", "\xa0", "\u3000", "\x00",
]  # fmt: skip
LINES = st.lists(
    st.lists(st.one_of(st.sampled_from(MARKS), st.characters(codec="utf-8"))).map(
        lambda of: "".join(of).replace("\n", "")
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Codes learnt from words that are marks, so that merges give parts that are marks too."""
    folder = tmp_path_factory.mktemp("codes")
    words = [("<s>", 9), ("</s>", 8), ("<pad>", 7), ("<unk>", 6), ("x@@", 5), ("và", 4), ("\\\\", 3), ("&#124;", 3)]
    learner = bpe.Learner(words)
    (folder / "codes").write_text("".join(bpe.write_codes(learner.merges(40))))
    parts = zip(words, learner.parts(), strict=True)
    (folder / "parts").write_text("".join(f"{word} {of}\n" for (word, _), of in parts))
    return folder / "codes", folder / "parts"


def write(
    lines: list[str], codes: tuple[Path, Path], moses: bool, folder: Path
) -> tuple[Path, list[list[str]], Counter]:
    """Return the file of parts that a prepare script writes, the words in it, and the counts of parts."""
    tokenise = Tokenise(("en", "en"), moses, 250, drop=False)
    raw = [f"{line}\n".encode() for line in lines]
    tokens = tokenise(Block(("a", "b"), 1, (raw, raw))).texts[0]
    split = [line.encode() for line in tokens.splitlines(keepends=True)]
    encoded = Segment(*codes, 250, 1.5, drop=False)(Block(("a", "b"), 1, (split, split)))
    (folder / "train.en").write_text(encoded.texts[0], "utf-8")
    return folder / "train.en", [line.split(" ") for line in tokens.removesuffix("\n").split("\n")], encoded.counts


@given(lines=LINES, moses=st.booleans())
def test_what_is_written_is_read_back(
    codes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, lines: list[str], moses: bool
) -> None:
    path, words, counts = write(lines, codes, moses, tmp_path_factory.getbasetemp())
    vocabulary = SubwordVocabulary(sorted(counts), Detokeniser("en") if moses else " ".join)
    assert not {"<s>", "</s>", "<pad>", "<unk>"} & set(vocabulary.pieces()[4:])
    read = list(read_lines(path, as_given))
    assert len(read) == len(lines)
    ids = vocabulary.encode(read)
    assert vocabulary.unknown == 0 and all(one > EOS for line in ids for one in line)
    spelt = [vocabulary.decode(line) for line in ids]
    for line, tokens, given_line in zip(spelt, words, lines, strict=True):
        assert line == (Detokeniser("en")(tokens) if moses else " ".join(tokens))
        if not moses and "&" not in given_line:  # in tokenised text, only Moses' escapes are undone
            assert line == plain(given_line)
    parts = [" ".join(vocabulary.pieces()[one] for one in line) for line in ids]
    assert parts == read  # so writing again gives the same file


@pytest.mark.parametrize(
    "line", ["foo@@ và", "một ▁ hai", "▁", "a@@ @@ @", "x<s> <pad> <unk>@@ <s>\\ \\", "foo@@\\ và"]
)
def test_words_that_once_failed_are_read_back(codes: tuple[Path, Path], tmp_path: Path, line: str) -> None:
    path, _, counts = write([line], codes, False, tmp_path)
    vocabulary = SubwordVocabulary(sorted(counts), " ".join)
    assert vocabulary.decode(vocabulary.encode(list(read_lines(path, as_given)))[0]) == line


@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("@\\<s>"))))
def test_unmarked_undoes_marked(word: str) -> None:
    assert bpe.unmarked(bpe.marked(word)) == word
    assert not bpe.marked(word).endswith("@@")
