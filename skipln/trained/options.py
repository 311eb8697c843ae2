"""What the commands for trained runs have in common."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from skipln.configuration.schema.machine import MOST_THREADS
from skipln.system.printing import exit_status


def parser_for(name: str, description: str, computes: bool = True) -> argparse.ArgumentParser:
    """A parser with RUN and, for a command that computes, --device and --threads."""
    parser = argparse.ArgumentParser(prog=f"skipln-{name}", description=description)
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run's folder")
    if computes:
        device = "what computes; auto: a GPU if there is one [auto]"
        parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help=device)
        parser.add_argument("--threads", type=_threads, default=0, metavar="N", help="CPU threads; 0: all cores [0]")
    return parser


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text}: give a number from 0 to {MOST_THREADS:,}")
    return int(text)


def answered(work: Callable[[], None]) -> int:
    """The exit status of a command, as in `exit_status`; a reader that stops early (`head`) is not an error."""
    try:
        return exit_status(work, stopped="stopped")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python's final flush does not fail
        return 0


def use_threads(threads: int) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)
