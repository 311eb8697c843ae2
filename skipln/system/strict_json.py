"""Read JSON from untrusted files: the values can safely be computed with, drawn, and written again."""

import json
import math
from pathlib import Path
from typing import Any

DEPTH = 32  # nested lists and objects
_LARGEST = 2**63


def read_json(path: Path, *, finite: bool = True) -> Any:
    """The content of the file `path`. Raises ValueError as `loads` does, and OSError if it cannot be read."""
    return loads(path.read_bytes(), finite=finite)


def loads(text: bytes, *, finite: bool = True) -> Any:
    """The value of one JSON text in UTF-8.

    Raises ValueError, one line, for text that is not JSON, a number that is not finite (unless `finite` is False: a
    loss may have become NaN), an integer of more than 64 bits, half a surrogate pair, and a depth over `DEPTH`.
    """
    try:
        value = json.loads(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8") from error
    except RecursionError as error:
        raise ValueError("too deep") from error
    except ValueError as error:
        raise ValueError("not JSON") from error
    check(value, finite)
    return value


def check(value: Any, finite: bool = True, depth: int = DEPTH) -> None:
    """Raise ValueError as `loads` does, and for a value that JSON cannot represent."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("half a surrogate pair")
    elif isinstance(value, int):
        if abs(value) >= _LARGEST:
            raise ValueError("an integer of more than 64 bits")
    elif isinstance(value, float):
        if finite and not math.isfinite(value):
            raise ValueError("a number that is not finite")
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError("too deep")
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            check(inner, finite, depth - 1)
    elif value is not None:
        raise ValueError(f"a value that is {type(value).__name__}")
