"""Handle Ctrl-C while a command is still importing, before its own code can catch it."""

import itertools
import os
import sys
from pathlib import Path
from types import TracebackType


def begins_a_command(package: str) -> bool:
    """Whether this process is `python -m PACKAGE…`, still importing, or one of our console scripts."""
    first = next(iter(getattr(sys, "argv", ())), "")
    if first != "-m":
        return Path(first).name.startswith("skipln-")
    modules = [after for word, after in itertools.pairwise(sys.orig_argv) if word == "-m"]
    return modules[:1] != [] and modules[0].partition(".")[0] == package


def stop_quietly() -> None:
    """Let an uncaught Ctrl-C end the process with one line and status 130, without a traceback."""
    sys.excepthook = _said


def _said(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    print("\nstopped", file=sys.stderr, flush=True)
    os._exit(130)  # Python itself would end by the signal, which callers report in different ways
