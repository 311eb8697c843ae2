"""The folder for `fairseq-train --user-dir`. fairseq imports it under its own name, which no other module may have
(fairseq #2815), and without this repository on the path."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("skipln") is None:
    sys.path.append(str(Path(__file__).resolve().parents[5]))

import skipln.interop.fairseq.model  # noqa: F401
