"""Encode lines as people write them by a run's own preparation, and decode its output."""

from collections.abc import Callable
from pathlib import Path

from skipln.data.text.subwords import CODES, FILES, SubwordVocabulary
from skipln.data.text.vocabulary import Vocabulary

MODEL = "vocabulary.model"
VOCABULARY_FILES = (MODEL, *FILES)


class RawText:
    """Turn raw source lines into token ids, and ids into target lines as people write them."""

    def __init__(self, vocabulary: Vocabulary | SubwordVocabulary, prepare: Callable[[str], str]) -> None:
        """prepare: turns a raw line into one that `vocabulary` encodes."""
        self.vocabulary, self._prepare = vocabulary, prepare

    @classmethod
    def load(cls, folder: Path, encoding: str, size: int, source: str, target: str) -> "RawText":
        """Load those `VOCABULARY_FILES` that are in `folder`; `size`: the number of pieces, or of BPE merges.

        With "bpe" a line must come tokenised, like the text that the run was trained on; with "moses_bpe" Moses
        normalises and tokenises it. Raises `UserError` when files are missing or belong to another vocabulary.
        """
        if encoding == "sentencepiece":
            return cls(Vocabulary.load(folder / MODEL), lambda line: line)
        from skipln.data.text.bpe import Segmenter, marked
        from skipln.data.text.moses import plain
        from skipln.data.text.published.encoding import tokeniser

        vocabulary = SubwordVocabulary.load(folder, encoding, size, target)
        segment, tokenise = Segmenter(folder / CODES), tokeniser(source, moses=encoding == "moses_bpe")
        return cls(vocabulary, lambda line: segment(map(marked, tokenise(plain(line)))))

    def encode(self, line: str) -> list[int]:
        """Return the ids of a line, without begin and end symbols."""
        return self.vocabulary.encode([self._prepare(line)])[0]

    def decode(self, ids: list[int]) -> str:
        """Return one line, even if a barely trained model produces line breaks or broken bytes."""
        return " ".join(self.vocabulary.decode(ids).split())
