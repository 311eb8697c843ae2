"""A joint byte-pair vocabulary (Sennrich et al. 2016) of both languages, learnt by sentencepiece."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import sentencepiece

from skipln.data.text.lines import normalise, read_lines
from skipln.errors import UserError
from skipln.system.files import atomic_write

PAD, UNK, BOS, EOS = 0, 1, 2, 3
_LONGEST = 4192  # bytes: by default sentencepiece leaves out longer lines
_RESERVED = "\u2585"  # sentencepiece's own mark for unknown text; it leaves out lines that contain it
SAMPLE = 2_000_000  # most lines from which merges are learnt; more change nothing but the memory needed


class Vocabulary:
    """Turn lines into subword ids and back: `decode(encode([line])[0]) == normalise(line)` for every line."""

    def __init__(self, model: bytes) -> None:
        """Raises `ValueError` when `model` is not a sentencepiece model with our special symbols."""
        try:
            self._model = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ValueError("not a sentencepiece model") from error
        special = (self._model.pad_id(), self._model.unk_id(), self._model.bos_id(), self._model.eos_id())
        if special != (PAD, UNK, BOS, EOS):
            raise ValueError(f"pad, unk, bos, eos are {special}, not {(PAD, UNK, BOS, EOS)}")

    @classmethod
    def train(cls, files: Iterable[Path], size: int, path: Path) -> "Vocabulary":
        """Learn `size` pieces from all lines of `files` together and write the model to `path`.

        The same text gives the same bytes. No line is left out, however long it is. U+2585, which sentencepiece
        reserves, counts as a space while merges are learnt and is spelled in bytes.

        Raises `UserError` when the text gives fewer pieces (naming the largest possible size) or needs more.
        """
        model, files = io.BytesIO(), list(files)
        count, longest = _extent(files)
        options: dict[str, Any] = {"max_sentence_length": longest} if longest > _LONGEST else {}
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=sample(files, count),
                model_writer=model,
                vocab_size=size,
                model_type="bpe",
                # Only `normalise` changes the text: nmt_nfkc would rewrite characters ("½", "…") that the references
                # keep, so that no hypothesis could match them.
                normalization_rule_name="identity",
                # Characters outside 99.95 % of the text are spelled in bytes. So nothing is ever unknown, and rare
                # scripts do not fill the vocabulary, as with character_coverage=1.0. The price is 256 entries.
                byte_fallback=True,
                character_coverage=0.9995,
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                num_threads=1,  # merges are counted in one thread in any case
                minloglevel=2,
                **options,
            )
        except RuntimeError as error:
            raise UserError(_explain(str(error), size)) from error
        with atomic_write(path) as file:
            file.write(model.getvalue())
        return cls(model.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a model that `train` wrote. Raises `UserError` when it is missing or not such a model."""
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
        except ValueError as error:
            raise UserError(f"{path}: {error}; remove it and prepare the data again") from error

    def __len__(self) -> int:
        """Return the number of ids, special symbols included."""
        return int(self._model.get_piece_size())

    def pieces(self) -> list[str]:
        """Return the piece of every id, with "▁" for the space before a word."""
        return [self._model.id_to_piece(i) for i in range(len(self))]

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Normalise lines and return their ids, without begin and end symbols."""
        return self._model.encode([normalise(line) for line in lines], num_threads=1)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the line that ids spell; pad, begin and end symbols spell nothing."""
        return self._model.decode([int(one) for one in ids])


def _extent(files: list[Path]) -> tuple[int, int]:
    """Return the number of lines of all files, and the length in bytes of the longest."""
    count = longest = 0
    for path in files:
        for line in read_lines(path):
            count, longest = count + 1, max(longest, len(line.encode()))
    return count, longest


def sample(files: list[Path], count: int) -> Iterator[str]:
    """Yield every k-th line of all files, with the smallest k that leaves at most `SAMPLE` of `count` lines."""
    lines = (line.replace(_RESERVED, " ") for path in files for line in read_lines(path))
    return islice(lines, 0, None, max(1, -(-count // SAMPLE)))


def _explain(message: str, size: int) -> str:
    """Put sentencepiece's complaint into the user's terms."""
    if found := re.search(r"value <= (\d+)", message):
        return f"data.vocabulary={size} is more than the training text gives; choose at most {found[1]}"
    if found := re.search(r"required_chars\. \d+ vs (\d+)", message):
        return (
            f"data.vocabulary={size} is too small for the characters of the training text; choose at least {found[1]}"
        )
    if "sentences_.empty()" in message:
        return "no text to learn a vocabulary from; check the training files"
    return f"sentencepiece could not learn a vocabulary: {message}"
