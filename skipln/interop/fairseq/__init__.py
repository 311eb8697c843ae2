"""fairseq 0.12 as a partner: its data-bins and checkpoints, our connections in its Transformer, its training as a row.

    python -m skipln.interop.fairseq                  prints what `fairseq-train --user-dir` takes
    python -m skipln.interop.fairseq convert …        checkpoints, both ways
    python -m skipln.interop.fairseq write-data-bin … and read-data-bin …: prepared text, both ways
    python -m skipln.train engine=fairseq …           a run by fairseq-train and fairseq-generate

Files are read and written without fairseq; only the plug-in and the engine need it installed.
"""

from importlib.util import find_spec
from pathlib import Path

from skipln.errors import UserError

USER_DIR = Path(__file__).resolve().parent / "plugin" / "skipln_fairseq"


def require_fairseq() -> None:
    """Raise UserError when fairseq is not installed."""
    if why := lacking():
        raise UserError(f"fairseq is not installed: {why}")


def lacking() -> str:
    """How to install fairseq; empty when it is there."""
    return "" if find_spec("fairseq") else "`make peers` adds it (Python 3.11 on 64-bit Linux)"
