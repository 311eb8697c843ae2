"""The progress bar of everything that takes long: a bar on a terminal, an occasional line in a log file."""

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

EVERY = 30.0  # seconds between two lines of a log


class _Lines(tqdm):
    """A bar that writes whole lines, because in a file a carriage return does not overwrite anything."""

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        def say(status: str) -> None:
            if status:
                file.write(f"{status}\n")
                file.flush()

        return say

    def clear(self, nolock: bool = False) -> None:
        """Do nothing: a line that was written stays."""


def progress_bar(
    total: float | None, unit: str, label: str = "", initial: int = 0, shown: bool = True, leave: bool = True
) -> tqdm:
    """A bar on stderr that counts `unit`s from `initial` to `total`. leave: whether it stays on a terminal."""
    options: dict[str, Any] = {"total": total, "unit": unit, "desc": label or None, "initial": initial}
    if sys.stderr.isatty():
        return tqdm(**options, dynamic_ncols=True, disable=not shown, leave=leave)
    return _Lines(**options, mininterval=EVERY, disable=not shown)
