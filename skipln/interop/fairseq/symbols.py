"""fairseq's dictionaries, and its symbol ids for ours.

A dictionary is a text file of `symbol count` lines, from id 4 on; before them fairseq puts <s>, <pad>, </s> and <unk>.
Our vocabularies begin with pad, unk, bos and eos, so the ids differ only below 4.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skipln.data.text.subwords import SubwordVocabulary
from skipln.data.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from skipln.errors import UserError
from skipln.system.files import atomic_write

SPECIAL = 4
SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>")
FAIRSEQ_BOS, FAIRSEQ_PAD, FAIRSEQ_EOS, FAIRSEQ_UNK = range(SPECIAL)
_TO = {BOS: FAIRSEQ_BOS, PAD: FAIRSEQ_PAD, EOS: FAIRSEQ_EOS, UNK: FAIRSEQ_UNK}


def fairseq_ids(size: int) -> np.ndarray:
    """Return fairseq's id for each of ours, int64 [size]. As an index into fairseq's rows it gives our order."""
    ids = np.arange(size)
    ids[list(_TO)] = list(_TO.values())
    return ids


def our_ids(size: int) -> np.ndarray:
    """Return our id for each of fairseq's, int64 [size]."""
    return np.argsort(fairseq_ids(size))


def write_dictionary(path: Path, vocabulary: Vocabulary | SubwordVocabulary) -> None:
    """Write our pieces as a fairseq dictionary; the counts, which fairseq does not use here, are 1.

    Raises UserError for pieces that fairseq would misread: its special symbols, white space, a repeated piece.
    """
    seen = set(SYMBOLS)
    for piece in vocabulary.pieces()[SPECIAL:]:
        if piece in seen or piece.split() != [piece]:
            raise UserError(f"{path}: fairseq cannot read the piece {piece!r} of this vocabulary: learn another one")
        seen.add(piece)
    with atomic_write(path, "w") as file:
        file.writelines(f"{piece} 1\n" for piece in vocabulary.pieces()[SPECIAL:])


def read_dictionary(path: Path) -> list[str]:
    """Return the symbols of a fairseq dictionary from id 4 on. Raises UserError if it is missing or not one."""
    try:
        lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a fairseq dictionary ({type(error).__name__})") from error
    symbols = []
    for number, line in enumerate(lines, 1):
        symbol, space, count = line.rstrip("\r").removesuffix(" #fairseq:overwrite").rpartition(" ")
        if not (space and count.isdigit()):
            raise UserError(f"{path}:{number}: a line of a fairseq dictionary is SYMBOL COUNT, not {line[:40]!r}")
        symbols.append(symbol)
    return symbols


def check_dictionary(path: Path, vocabulary: Vocabulary | SubwordVocabulary) -> None:
    """Raise UserError unless the dictionary has the pieces of `vocabulary` in the same order."""
    theirs, ours = read_dictionary(path), vocabulary.pieces()[SPECIAL:]
    if theirs == ours:
        return
    first = next((i for i, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]), None)
    what = (
        f"{len(theirs)} symbols for {len(ours)} pieces"
        if first is None
        else f"{theirs[first]!r} in line {first + 1} for {ours[first]!r}"
    )
    raise UserError(f"{path}: not the dictionary of this vocabulary ({what}): give the one it was made with")


def check_same(source: Sequence[str], target: Sequence[str], folder: Path) -> None:
    """Raise UserError unless a data-bin's two dictionaries are equal, as our joint vocabularies need."""
    if list(source) != list(target):
        raise UserError(f"{folder}: its two dictionaries differ: make it with fairseq-preprocess --joined-dictionary")
