"""Our implementation of Moses gives what sacremoses gives."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sacremoses import MosesPunctNormalizer, MosesTokenizer

from skipln.data.text import moses
from skipln.data.text.moses import Detokeniser, Normaliser, Tokeniser, plain

LANGUAGES = ("en", "de")
NORMALISERS = {language: (Normaliser(language), MosesPunctNormalizer(language)) for language in LANGUAGES}
TOKENISERS = {language: (Tokeniser(language), MosesTokenizer(language)) for language in LANGUAGES}
PIECES = [
    *"aZ9 5 .,'\"`-()[]&<|>;:!?%/@„“”’‘´–—…«»\u00a0ºäß¾", "  ", "Mr", "Mr.", "e.g", "No.", "Nr.", "DOTMULTI", "n't",
    "'s", ", ", "..", "...", "' '", "''", "´´", "nº", "Dr. ", "usw. ", "z.B.", " ", " ",
]  # fmt: skip
LINES = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=12)


@given(LINES, st.sampled_from(LANGUAGES))
def test_normalisation_equals_sacremoses(line: str, language: str) -> None:
    ours, theirs = NORMALISERS[language]
    assert ours(line) == theirs.normalize(line)


@given(LINES, st.sampled_from(LANGUAGES))
@example("5' '5", "en")
@example("No. 5, no. ,5", "en")
@example(",5 ends in 1990,", "en")
def test_tokenisation_equals_sacremoses(line: str, language: str) -> None:
    ours, theirs = TOKENISERS[language]
    assert ours(line) == theirs.tokenize(line, aggressive_dash_splits=True)


def test_full_memories_are_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moses, "REMEMBERED", 3)
    monkeypatch.setattr(moses, "SIMPLE", 3)
    tokenise = Tokeniser("en")
    for line in ["Mr. Smith, the well-known baker, isn't in.", "One two three four five, six; seven!"] * 2:
        assert tokenise(line) == MosesTokenizer("en").tokenize(line, aggressive_dash_splits=True)
    # Only its private memories can show that they are bounded.
    assert max(len(tokenise._simple), len(tokenise._known)) <= 3


@pytest.mark.parametrize(
    "line", ["Der Ost-West-Konflikt (1947) ist vorbei.", 'Er sagte: "Kosten & Nutzen [1]".', "Es kostet 3,50 €."]
)
def test_detokenisation_undoes_tokenisation(line: str) -> None:
    assert Detokeniser("de")(Tokeniser("de")(line)) == line


@given(st.text(st.characters(codec="utf-8")))
def test_plain_lines_have_words_and_single_spaces(line: str) -> None:
    assert plain(line) == " ".join(plain(line).split(" ")).strip()
    assert plain(plain(line)) == plain(line)
    assert not set(plain(line)) & set("\r\n\t\u200b\ufeff\u00ad\u2028\u00a0\x00")


def test_plain_removes_crlf_and_zero_width_characters() -> None:
    assert plain("\ufeffA zero\u200bwidth soft\u00adhyphen,\u00a0here.\r") == "A zerowidth softhyphen, here."
