"""The vocabulary of text that `preparation` has already BPE-encoded, in a folder of its own."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from skipln.data.text.vocabulary import BOS, EOS, PAD, UNK
from skipln.errors import UserError
from skipln.system.strict_json import read_json

CODES, WORDS, ENCODING = "codes", "vocabulary.txt", "encoding.json"
FILES = (CODES, WORDS, ENCODING)
FORMAT = 2  # raised when the same text is written differently; folders of an older format are then made again
SPECIAL = 4  # ids before those of the vocabulary: pad, unk, bos, eos


class SubwordVocabulary:
    """Turn lines of parts of words into ids, and ids into the text they spell."""

    def __init__(self, parts: Sequence[str], spell: Callable[[list[str]], str]) -> None:
        """parts: the vocabulary, from id `SPECIAL` on. spell: turns words into a line."""
        self._parts, self._spell = list(parts), spell
        self._ids = {part: i for i, part in enumerate(self._parts, SPECIAL)}
        self.unknown = self.encoded = 0  # parts counted so far, to check what was encoded

    @classmethod
    def load(cls, folder: Path, encoding: str, merges: int, target: str) -> "SubwordVocabulary":
        """Load the vocabulary of `folder`; `target` is the language of the lines that it spells.

        With encoding "bpe" words stay as they are; with "moses_bpe" Moses' tokenisation is undone too. Raises
        `UserError` when the folder was made with another encoding or number of merges, or its files do not belong
        together.
        """
        try:
            about = read_json(folder / ENCODING)
            content = {name: (folder / name).read_bytes() for name in (CODES, WORDS)}
            made = about["encoding"], about["merges"]
            current = about.get("format") == FORMAT
            sums = {name: about["sha256"][name] for name in content}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder}: not BPE-encoded text ({error}); make it with scripts/prepare_wmt14_en_de.py or "
                "prepare_iwslt15_en_vi.py, or use data.encoding=sentencepiece for plain text"
            ) from error
        if made != (encoding, merges):
            raise UserError(
                f"{folder} was made with data.encoding={made[0]} data.vocabulary={made[1]}; give these values, or "
                "prepare it again"
            )
        if not current:
            raise UserError(f"{folder}: made by an older version, in another format; prepare the data again")
        for name, found in content.items():
            if hashlib.sha256(found).hexdigest() != sums[name]:
                raise UserError(
                    f"{folder / name}: not the file with which the text beside it was encoded, but that of another "
                    "vocabulary; prepare the data again"
                )
        parts = [line.split(" ")[0] for line in content[WORDS].decode("utf-8").removesuffix("\n").split("\n")]
        return cls(parts, _speller(encoding, target))

    def __len__(self) -> int:
        """Return the number of ids, special symbols included."""
        return SPECIAL + len(self._parts)

    def pieces(self) -> list[str]:
        """Return the part of every id."""
        return ["<pad>", "<unk>", "<s>", "</s>", *self._parts]

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Return the ids of lines of parts, without begin and end symbols. A part outside the vocabulary is `UNK`."""
        ids = self._ids
        found = [[ids.get(part, UNK) for part in line.split(" ") if part] for line in lines]
        self.encoded += sum(map(len, found))
        self.unknown += sum(line.count(UNK) for line in found)
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """Return the line that ids spell: join parts and undo tokenisation. Pad, begin and end spell nothing."""
        from skipln.data.text.bpe import joined, unmarked  # only text of this kind needs it

        known = (int(one) for one in ids if int(one) not in (PAD, BOS, EOS))
        words = joined("<unk>" if one == UNK else self._parts[one - SPECIAL] for one in known)
        return self._spell([unmarked(word) for word in words])


def _speller(encoding: str, target: str) -> Callable[[list[str]], str]:
    if encoding == "bpe":
        return " ".join
    from skipln.data.text.moses import Detokeniser

    return Detokeniser(target)


def check_same_codes(wanted: Path, folder: Path) -> None:
    """Raise UserError unless the text in `folder` was encoded with the codes and the vocabulary in `wanted`."""
    for name in (CODES, WORDS):
        try:
            same = (wanted / name).read_bytes() == (folder / name).read_bytes()
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error
        if not same:
            raise UserError(
                f"{folder / name}: not the file of the weights ({wanted / name}): encode the text with theirs"
            )
