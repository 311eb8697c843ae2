"""Print text for a reader: on one line where one line is meant, and on terminals with any encoding."""

import codecs
import errno
import sys
import unicodedata
from collections.abc import Callable
from io import TextIOWrapper

from skipln.errors import UserError
from skipln.system.memory import out_of_memory

_PLAIN = {"λ": "lambda", "Δ": "Delta", "±": "+-", "−": "-", "×": "x", "·": "|", "–": "-", "…": "...", "→": "->"}
_BREAKS = ("Cc", "Zl", "Zp")  # Unicode's control characters (escape sequences begin with one), line and paragraph ends
_REORDERS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}  # they change the order of the text after them


def one_line(text: str) -> str:
    """`text` on a single line: characters that begin a new line or control the terminal become spaces.

    Half a surrogate pair, which Python uses for a non-UTF-8 byte of a file name, becomes U+FFFD.
    """
    return text if text.isprintable() else "".join(map(_harmless, text))


def _harmless(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return " " if kind in _BREAKS or ord(character) in _REORDERS else character


def exit_status(command: Callable[[], int | None], stopped: str = "stopped; the same command continues") -> int:
    """Call `command`; return 2 after one line on stderr for a user's mistake, 130 after `stopped` for Ctrl-C, else the
    command's own status. It may print any character on a terminal with any encoding. A path that is too long, or a link
    to itself, is a mistake wherever it is used.
    """
    print_anything()
    try:
        return command() or 0
    except UserError as error:
        print_error(error)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
            raise
        name = str(error.filename)
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        print_error(UserError(f"{shown}: {error.strerror}; give another path"))
        return 2
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print_error(UserError("out of memory; give a smaller batch or model, or another machine"))
        return 2
    except KeyboardInterrupt:
        print(f"\n{stopped}", file=sys.stderr)
        return 130


def print_anything() -> None:
    """Let stdout and stderr accept any character: those that their encoding lacks are spelled out."""
    codecs.register_error("spell", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not so in tests and notebooks
            stream.reconfigure(errors="spell")


def print_error(error: BaseException) -> None:
    """Print the one line that says why a command ends."""
    print(f"error: {one_line(str(error))}", file=sys.stderr, flush=True)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    spelled = "".join(_PLAIN.get(character, "?") for character in error.object[error.start : error.end])
    return spelled, error.end
