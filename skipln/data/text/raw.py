"""Lines as people write them, through a run's own preparation and back."""

from collections.abc import Callable
from pathlib import Path

from skipln.data.text.subwords import CODES, FILES, SubwordVocabulary
from skipln.data.text.vocabulary import Vocabulary

MODEL = "vocabulary.model"
VOCABULARY_FILES = (MODEL, *FILES)


class RawText:
    """Raw source lines -> token ids, and ids -> target lines as people write them."""

    def __init__(self, vocabulary: Vocabulary | SubwordVocabulary, prepare: Callable[[str], str]) -> None:
        """prepare: a raw line -> what `vocabulary` encodes."""
        self.vocabulary, self._prepare = vocabulary, prepare

    @classmethod
    def load(cls, folder: Path, encoding: str, size: int, source: str, target: str) -> "RawText":
        """From the files of `VOCABULARY_FILES` that are in `folder`; `size`: number of pieces, or of BPE's merges.

        With "bpe" a line comes tokenised, as the text did that the run was trained on; with "moses_bpe" Moses
        normalises and tokenises it. Raises `UserError` when the files are missing or of another vocabulary.
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
        """Ids without begin and end symbols."""
        return self.vocabulary.encode([self._prepare(line)])[0]

    def decode(self, ids: list[int]) -> str:
        """One line, whatever bytes a barely trained model produces."""
        return " ".join(self.vocabulary.decode(ids).split())
