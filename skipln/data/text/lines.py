"""Lines of text: UTF-8, ended by "\\n" alone, with normalised spacing."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from skipln.errors import UserError

# Zero-width space, word joiner and byte-order mark are invisible and mean nothing. The zero-width joiner and non-joiner
# stay, because Persian and several Indic languages spell words with them.
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))
# U+2581 is sentencepiece's own mark for a space; if it stayed in the text, it would be decoded to a space.
_SENTENCEPIECE_SPACE = "\u2581"
_SPACES = re.compile(r"\s+")


def normalise(line: str) -> str:
    """Remove invisible characters, make every run of white space one space, and strip the line.

    White space is whatever Unicode calls so, including "\\r", the no-break space and U+2028. Nothing else changes:
    neither case nor punctuation nor compatibility forms.
    """
    return _SPACES.sub(" ", line.translate(INVISIBLE).replace(_SENTENCEPIECE_SPACE, " ")).strip()


def as_given(line: str) -> str:
    """Return the line itself without its end, so that scores are of what was written."""
    return line.removesuffix("\n").removesuffix("\r")


def read_lines(path: Path, form: Callable[[str], str] = normalise) -> Iterator[str]:
    """Stream the lines of a UTF-8 file of any size, each through `form`. Only "\\n" ends a line.

    Raises `UserError` for a missing file and for bytes that are not UTF-8 (with the line's number).
    """
    try:
        file = path.open("rb")  # binary: text mode would also split at a lone "\r"
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    with file:
        yield from map(form, decoded(file, str(path)))


def decoded(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Decode lines to text. Raises `UserError` with `name` and the line's number for bytes that are not UTF-8."""
    for number, raw in enumerate(file, 1):
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{name}:{number}: not UTF-8; convert the file first, for example with iconv") from error
