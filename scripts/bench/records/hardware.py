"""Name the hardware of the records; each has its own folder under results/bench."""

import re
from pathlib import Path

from skipln.engine.environment import cpu
from skipln.ops.processor import flags
from skipln.system.places import ROOT

RESULTS = ROOT / "results" / "bench"
INSTRUCTIONS = {  # the flags that decide how fast a processor multiplies, widest first
    "amx_bf16": "AMX with BF16",
    "avx512_bf16": "AVX-512 with BF16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}


def hardware() -> str:
    """This machine's processor, its cores, and its widest instructions for matrix products, in words."""
    widest = [name for flag, name in INSTRUCTIONS.items() if flag in flags()]
    return ", ".join([cpu(), *widest[:1]])


def folder(name: str | None = None, results: Path = RESULTS) -> Path:
    """The folder with the records of the hardware `name`; None: of this machine."""
    return results / re.sub(r"[^a-z0-9]+", "-", (name or hardware()).lower()).strip("-")
