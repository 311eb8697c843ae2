from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipln.data.text import vocabulary
from skipln.data.text.lines import normalise
from skipln.data.text.vocabulary import BOS, EOS, PAD, Vocabulary
from skipln.errors import UserError


@pytest.fixture
def files(parallel_text: Path) -> list[Path]:
    return [parallel_text / "train.en", parallel_text / "train.de"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "text").write_text("the quick brown fox jumps over the lazy dog\n" * 3)
    return Vocabulary.train([folder / "text"], 300, folder / "model")


@given(
    st.lists(
        st.one_of(
            st.characters(codec="utf-8"),
            st.sampled_from([*"the \u2581\u2585\u200b\t", "<s>", "</s>", "<pad>", "<unk>", "<0x41>"]),
        )
    ).map("".join)
)
def test_decoding_undoes_encoding(learned: Vocabulary, text: str) -> None:
    (ids,) = learned.encode([text])
    assert learned.decode(ids) == normalise(text)
    assert all(EOS < one < len(learned) for one in ids)


def test_special_symbols_spell_nothing(learned: Vocabulary) -> None:
    (ids,) = learned.encode(["the dog"])
    assert learned.decode([BOS, *ids, EOS, PAD, PAD]) == "the dog"


def test_the_same_text_gives_the_same_bytes_in_any_folder(files: list[Path], tmp_path: Path) -> None:
    first = Vocabulary.train(files, 350, tmp_path / "one")
    moved = [path.rename(tmp_path / path.name) for path in files]
    Vocabulary.train(moved, 350, tmp_path / "elsewhere" / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "elsewhere" / "two").read_bytes()
    assert len(first) == len(Vocabulary.load(tmp_path / "one")) == 350


def test_a_vocabulary_that_is_too_large_names_the_largest_size(
    files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    with pytest.raises(UserError, match=r"^data\.vocabulary=9000 .* at most (\d+)$") as caught:
        Vocabulary.train(files, 9000, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    largest = int(str(caught.value).split()[-1])
    assert len(Vocabulary.train(files, largest, tmp_path / "model")) == largest
    assert capfd.readouterr() == ("", "")


def test_a_vocabulary_that_is_too_small_names_the_smallest_size(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data\.vocabulary=100 is too small .* at least \d+$"):
        Vocabulary.train(files, 100, tmp_path / "model")


def test_training_without_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match="no text"):
        Vocabulary.train([tmp_path / "empty"], 300, tmp_path / "model")


def test_big_corpora_are_sampled_evenly(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    everything = list(vocabulary.sample(files, 16))
    monkeypatch.setattr(vocabulary, "SAMPLE", 6)
    assert list(vocabulary.sample(files, 16)) == everything[::3]


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("a zebra grazes " * 400, ["a zebra grazes"] * 400),  # over 4,192 bytes: sentencepiece leaves it out
        ("a zebra \u2585 grazes \u2585", ["a zebra grazes"]),  # its mark for unknown text: left out too
        ("\u2585\u2585a\u2585zebra grazes" * 300, ["a zebra grazes"] * 300),
        ("斑马吃草" * 2000, ["斑马吃草" * 1000] * 2),
    ],
)
def test_no_line_is_left_out(files: list[Path], tmp_path: Path, line: str, same: list[str]) -> None:
    """A line that sentencepiece would skip teaches the same as plain pieces of it."""
    kept, learnt = files[0].read_text("utf-8"), []
    for lines in ([line], same):
        files[0].write_text(kept + "".join(f"{one}\n" for one in lines * 20), "utf-8")
        learnt.append(set(Vocabulary.train(files, 330, tmp_path / "model").pieces()))
    assert len(learnt[0] ^ learnt[1]) <= 2  # the last of several equally frequent pieces
    files[0].write_text(kept, "utf-8")
    without = set(Vocabulary.train(files, 330, tmp_path / "model").pieces())
    assert {piece for piece in learnt[0] - without if "zebra" in piece or "斑马" in piece}


def test_a_text_of_only_such_lines_can_be_learnt(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("many words in one line " * 300 + "\n\u2585 and others\n")
    learned = Vocabulary.train([tmp_path / "text"], 295, tmp_path / "model")
    assert "▁words" in learned.pieces()
    assert learned.decode(learned.encode(["\u2585 and \u2585"])[0]) == "\u2585 and \u2585"


def test_sentencepieces_own_marks_are_treated_as_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("<s> <pad> </s> <unk> a<s> <0x41> <s>b ▁ ▁c and words\n" * 50)
    learned = Vocabulary.train([tmp_path / "text"], 272, tmp_path / "model")
    assert not {"<s>", "<pad>", "</s>", "<unk>"} & set(learned.pieces()[4:])
    line = "<s>a</s> <pad> <unk><unk> <0x41>"
    (ids,) = learned.encode([line])
    assert min(ids) > EOS
    assert learned.decode(ids) == line


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_missing_or_damaged_model_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model").write_bytes(content)
    with pytest.raises(UserError, match="model: "):
        Vocabulary.load(tmp_path / "model")
