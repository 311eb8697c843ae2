"""Exchange with fairseq 0.12: its data-bins and checkpoints, our connections in its Transformer, and its training.

    python -m skipln.interop.fairseq                  prints what `fairseq-train --user-dir` takes
    python -m skipln.interop.fairseq convert …        converts checkpoints, both ways
    python -m skipln.interop.fairseq write-data-bin … and read-data-bin … convert prepared text
    python -m skipln.train engine=fairseq …           trains a run by fairseq-train and fairseq-generate

Files are read and written without fairseq; only the plug-in and the engine need it installed.
"""

from importlib.util import find_spec
from pathlib import Path

from skipln.errors import UserError

USER_DIR = Path(__file__).resolve().parent / "plugin" / "skipln_fairseq"


def require_fairseq() -> None:
    """Raise UserError if fairseq is not installed."""
    if why := lacking():
        raise UserError(f"fairseq is not installed: {why}")


def lacking() -> str:
    """Return how to install fairseq, or "" if it is installed."""
    return "" if find_spec("fairseq") else "`make peers` adds it (Python 3.11 on 64-bit Linux)"
