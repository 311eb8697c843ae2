"""Text on its way to a reader: one line where one is meant, on terminals of any encoding."""

import codecs
import sys
import unicodedata
from collections.abc import Callable
from io import TextIOWrapper

from skipln.errors import UserError

_PLAIN = {"λ": "lambda", "Δ": "Delta", "±": "+-", "−": "-", "×": "x", "·": "|", "–": "-", "…": "...", "→": "->"}
_BREAKS = ("Cc", "Zl", "Zp")  # Unicode's control characters (escape sequences begin with one), line and paragraph ends
_REORDERS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}  # what follows them is shown in another order


def one_line(text: str) -> str:
    """`text` on a single line: what would begin another, or command the terminal, becomes a space.

    Half a surrogate pair, which Python has for a byte of a file name that is not UTF-8, becomes U+FFFD.
    """
    return text if text.isprintable() else "".join(map(_harmless, text))


def _harmless(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return " " if kind in _BREAKS or ord(character) in _REORDERS else character


def exit_status(command: Callable[[], int | None], stopped: str = "stopped; the same command goes on") -> int:
    """Call `command`: 2 and one line on stderr for a user's mistake, 130 and `stopped` for Ctrl-C, else what it says.

    What it prints may hold any character, on a terminal of any encoding.
    """
    print_anything()
    try:
        return command() or 0
    except UserError as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        print(f"\n{stopped}", file=sys.stderr)
        return 130


def print_anything() -> None:
    """Let stdout and stderr take any character: what their encoding lacks is spelled out, not refused."""
    codecs.register_error("spell", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not a test's or a notebook's
            stream.reconfigure(errors="spell")


def print_error(error: BaseException) -> None:
    """The one line in which a command says why it ends."""
    print(f"error: {one_line(str(error))}", file=sys.stderr, flush=True)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    spelled = "".join(_PLAIN.get(character, "?") for character in error.object[error.start : error.end])
    return spelled, error.end
