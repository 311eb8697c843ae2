"""What a line of text is here: UTF-8, ended by "\\n" alone, its spacing made plain."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from skipln.errors import UserError

# Invisible and without meaning of their own: zero-width space, word joiner, byte-order mark. The zero-width joiner and
# non-joiner stay: Persian and several Indic languages spell words with them.
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))
# U+2581 is sentencepiece's own mark for a space: left in the text it would come back as one.
_SENTENCEPIECE_SPACE = "\u2581"
_SPACES = re.compile(r"\s+")


def normalise(line: str) -> str:
    """One line with invisible characters removed and every run of white space made one space, stripped.

    White space is everything Unicode calls so, "\\r", a no-break space and U+2028 included. Nothing else changes: no
    case, no punctuation, no compatibility forms.
    """
    return _SPACES.sub(" ", line.translate(INVISIBLE).replace(_SENTENCEPIECE_SPACE, " ")).strip()


def as_given(line: str) -> str:
    """The line itself, without its end: what is scored is what was written."""
    return line.removesuffix("\n").removesuffix("\r")


def read_lines(path: Path, form: Callable[[str], str] = normalise) -> Iterator[str]:
    """Stream the lines of a UTF-8 file of any size, each in that form. Only "\\n" ends a line.

    Raises `UserError` for a missing file and for bytes that are not UTF-8 (with the line's number).
    """
    try:
        file = path.open("rb")  # binary: text mode would also split at a lone "\r"
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    with file:
        yield from map(form, decoded(file, str(path)))


def decoded(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Undecoded lines as text; the error names `name` and the line's number."""
    for number, raw in enumerate(file, 1):
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{name}:{number}: not UTF-8; convert the file first, for example with iconv") from error
