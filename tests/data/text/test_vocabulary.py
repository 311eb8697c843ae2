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


@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("the \u2581\u200b\t<s>/0x41"))))
def test_round_trip(learned: Vocabulary, text: str) -> None:
    (ids,) = learned.encode([text])
    assert learned.decode(ids) == normalise(text)
    assert all(EOS < one < len(learned) for one in ids)


def test_special_symbols_spell_nothing(learned: Vocabulary) -> None:
    (ids,) = learned.encode(["the dog"])
    assert learned.decode([BOS, *ids, EOS, PAD, PAD]) == "the dog"


def test_same_text_same_bytes_wherever_it_lies(files: list[Path], tmp_path: Path) -> None:
    first = Vocabulary.train(files, 350, tmp_path / "one")
    moved = [path.rename(tmp_path / path.name) for path in files]
    Vocabulary.train(moved, 350, tmp_path / "elsewhere" / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "elsewhere" / "two").read_bytes()
    assert len(first) == len(Vocabulary.load(tmp_path / "one")) == 350


def test_too_large_tells_the_largest_size(files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(UserError, match=r"vocab_size=9000 .* at most (\d+)$") as caught:
        Vocabulary.train(files, 9000, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    largest = int(str(caught.value).split()[-1])
    assert len(Vocabulary.train(files, largest, tmp_path / "model")) == largest
    assert capfd.readouterr() == ("", "")


def test_too_small_tells_the_smallest_size(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vocab_size=100 is too small .* at least \d+$"):
        Vocabulary.train(files, 100, tmp_path / "model")


def test_no_text(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match="no text"):
        Vocabulary.train([tmp_path / "empty"], 300, tmp_path / "model")


def test_big_corpora_are_sampled_evenly(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    everything = list(vocabulary._sample(files))
    monkeypatch.setattr(vocabulary, "SAMPLE", 6)
    assert list(vocabulary._sample(files)) == everything[::3]


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_missing_or_damaged_model(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model").write_bytes(content)
    with pytest.raises(UserError, match="model: "):
        Vocabulary.load(tmp_path / "model")
