"""Prepared text as a fairseq data-bin and back: fairseq reads what we write, and we read what it writes."""

import numpy as np
import pytest

from skipln.configuration.composition import compose
from skipln.data.text.corpus import TokenCorpus, TokenWriter
from skipln.data.text.dataset import TextData
from skipln.data.text.subwords import SubwordVocabulary
from skipln.data.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from skipln.errors import UserError
from skipln.interop.fairseq.databin import _write, read_databin, write_databin
from skipln.interop.fairseq.symbols import fairseq_ids, our_ids, read_dictionary, write_dictionary
from skipln.tasks.translation import prepare_text


@pytest.fixture(scope="module")
def data(tiny) -> TextData:
    return prepare_text(compose(tiny))


@pytest.fixture
def databin(data, tmp_path):
    return write_databin(data, tmp_path / "bin")


def test_special_symbols_get_fairseqs_ids():
    ids = fairseq_ids(10)
    assert [ids[BOS], ids[PAD], ids[EOS], ids[UNK]] == [0, 1, 2, 3]
    assert ids[4:].tolist() == list(range(4, 10))
    assert our_ids(10)[ids].tolist() == list(range(10))


def test_a_data_bin_is_read_back_unchanged(data, databin, tmp_path):
    back = read_databin(databin, databin / "vocabulary.model", tmp_path / "back")
    assert back.languages == data.languages
    for split in ("train", "valid", "test"):
        for side in ("source", "target"):
            one, other = (getattr(getattr(d, split), side) for d in (data, back))
            assert [ids.tolist() for ids in one] == [ids.tolist() for ids in other]
    assert back.references("test") == [data.vocabulary.decode(ids.tolist()) for ids in data.test.target]
    assert write_databin(data, databin) == databin  # the same text, so the folder is left as it is


def test_fairseq_reads_our_data_bin(fairseq, data, databin):
    from fairseq.data import Dictionary
    from fairseq.data.data_utils import load_indexed_dataset

    dictionary = Dictionary.load(str(databin / "dict.de.txt"))
    assert len(dictionary) == len(data.vocabulary)
    assert dictionary.symbols[4:] == data.vocabulary.pieces()[4:]
    read = load_indexed_dataset(str(databin / "train.en-de.de"), dictionary, "mmap")
    assert len(read) == len(data.train)
    for theirs, ours in zip(read, data.train.target, strict=True):
        assert our_ids(len(dictionary))[theirs.numpy()].tolist() == [*ours.tolist(), EOS]


def test_we_read_what_fairseq_wrote(fairseq, data, databin, tmp_path):
    """fairseq's own writer writes the same sentences, as 32-bit ids."""
    import torch
    from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder

    (databin / "sums.json").unlink()  # it writes no checksums
    for path in databin.glob("*.bin"):
        split, _, language = path.stem.split(".")
        corpus = getattr(getattr(data, split), "source" if language == "en" else "target")
        builder = MMapIndexedDatasetBuilder(str(path), dtype=np.int32)
        for ids in corpus:
            builder.add_item(torch.tensor([*fairseq_ids(len(data.vocabulary))[ids], 2]))
        builder.finalize(str(path.with_suffix(".idx")))
    back = read_databin(databin, databin / "vocabulary.model", tmp_path / "back")
    assert [ids.tolist() for ids in back.train.target] == [ids.tolist() for ids in data.train.target]


def test_empty_sentences_and_large_vocabularies_are_written(tmp_path):
    with TokenWriter(tmp_path / "x", 70_000) as writer:
        for ids in ([], [69_999, 5], [], []):
            writer.add(ids)
    _write(tmp_path / "out", TokenCorpus(tmp_path / "x"), 70_000)
    assert np.fromfile(tmp_path / "out.bin", np.int32).tolist() == [2, 69_999, 5, 2, 2, 2]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda f: (f / "dict.de.txt").write_text("a 1\nb 1\n"), "its two dictionaries differ"),
        (
            lambda f: [(f / f"dict.{x}.txt").write_text("a 1\nb 1\n") for x in ("en", "de")],
            "not the dictionary of this",
        ),
        (
            lambda f: (f / "dict.en.txt").write_text("a\n"),
            "dict.en.txt:1: a line of a fairseq dictionary is SYMBOL COUNT",
        ),
        (lambda f: (f / "dict.en.txt").unlink(), "dict.en.txt: cannot be read"),
        (lambda f: (f / "test.en-de.de.bin").write_bytes(b"123"), "do not fit its index"),
        (lambda f: (f / "test.en-de.de.idx").write_bytes(b"TNTIDX\0\0"), "not in fairseq's mmap format"),
        (lambda f: (f / "test.en-de.de.idx").unlink(), "is this a data-bin?"),
        (lambda f: [p.unlink() for p in f.glob("train*")], "not a data-bin"),
        (lambda f: (f / "vocabulary.model").write_bytes(b"no"), "not a sentencepiece model"),
    ],
)
def test_a_bad_databin_is_one_line(databin, tmp_path, break_it, said):
    break_it(databin)
    with pytest.raises(UserError) as error:
        read_databin(databin, databin / "vocabulary.model", tmp_path / "back")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(("kind", "ours"), [("bin", True), ("idx", True), ("idx", False)])
def test_a_changed_byte_of_a_databin_is_found(databin, tmp_path, kind, ours):
    """In the ids only if we made it, since fairseq has no checksums; in its index always."""
    if not ours:
        (databin / "sums.json").unlink()
    path = databin / f"test.en-de.de.{kind}"
    whole = path.read_bytes()
    for place in range(len(whole) - 1, 0, -max(1, len(whole) // 20)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError):
            read_databin(databin, databin / "vocabulary.model", tmp_path / "back")
        assert not (tmp_path / "back").exists()


def test_another_vocabulary_is_refused(databin, data, tmp_path):
    text = tmp_path / "text"
    text.write_text("".join(f"{line} and more words\n" for line in data.sources("train")))
    Vocabulary.train([text], 290, tmp_path / "other.model")
    with pytest.raises(UserError, match="not the dictionary of this vocabulary"):
        read_databin(databin, tmp_path / "other.model", tmp_path / "back")


def test_a_users_folder_is_not_overwritten(data, databin, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UserError, match="exists already"):
        write_databin(data, tmp_path / "mine")
    with pytest.raises(UserError, match="exists already"):
        read_databin(databin, databin / "vocabulary.model", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


@pytest.mark.parametrize("encoding", ["sentencepiece", "bpe"])
def test_fairseq_reads_the_dictionary_of_any_text(fairseq, tmp_path, encoding):
    """Even of text full of fairseq's own symbols, white space and control characters."""
    from fairseq.data import Dictionary

    from skipln.data.text import bpe

    words = [
        "<s>",
        "</s>",
        "<pad>",
        "<unk>",
        "x<s>",
        "@@",
        "#fairseq:overwrite",
        "▁",
        "▅",
        "\x00",
        "0",
        "1 1",
        "\x7f",
        "\u200e",
    ]
    if encoding == "sentencepiece":
        (tmp_path / "text").write_text(
            "".join(f"{word} a{word} {word}\u2028{word}\x85\n" for word in words * 9), "utf-8"
        )
        vocabulary = Vocabulary.train([tmp_path / "text"], 290, tmp_path / "model")
    else:
        parts = {bpe.split(bpe.marked(word), {}) for one in words for word in one.split()}
        vocabulary = SubwordVocabulary(sorted({part for one in parts for part in one.split(" ")}), " ".join)
    write_dictionary(tmp_path / "dict.txt", vocabulary)
    dictionary = Dictionary.load(str(tmp_path / "dict.txt"))
    assert dictionary.symbols[4:] == vocabulary.pieces()[4:]
    assert [dictionary.index(piece) for piece in dictionary.symbols] == list(range(len(vocabulary)))


@pytest.mark.parametrize(
    "parts", [["a", "<s>"], ["</s>"], ["<pad>", "b"], ["<unk>"], ["a", "a"], ["a b"], ["\u2028"], [""]]
)
def test_a_vocabulary_that_fairseq_would_refuse_is_one_line(tmp_path, parts):
    with pytest.raises(UserError, match=r"dict.txt: fairseq cannot read the piece .* of this vocabulary"):
        write_dictionary(tmp_path / "dict.txt", SubwordVocabulary(parts, " ".join))
    assert not (tmp_path / "dict.txt").exists()


def test_a_dictionary_may_hold_any_symbol(tmp_path):
    path = tmp_path / "dict.txt"
    path.write_bytes("a 3\n\u2028x 2\n# 1\n▁ 1 #fairseq:overwrite\n".encode())
    assert read_dictionary(path) == ["a", "\u2028x", "#", "▁"]
