"""What a result was made with: commit, versions, hardware."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from skipln.ops.processor import flags
from skipln.runs.source import Source, source


def describe(device: torch.device, code: Source | None = None) -> dict[str, Any]:
    """Commit (and the patch of what is not committed), versions, hardware, threads, time.

    code: what runs, default as it lies here now. SKIPLN_COMMIT says the commit of a copy without git.
    """
    code = code or source()
    return {
        **code.describe(),
        **({} if code.commit else {"commit": os.environ.get("SKIPLN_COMMIT", "")}),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "sacrebleu": version("sacrebleu"),
        "cpu": cpu(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def fast_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself (x86: AVX512-BF16 or AMX; unknown elsewhere: yes)."""
    found = flags()
    return not found or bool({"avx512_bf16", "amx_bf16"} & found)


def cpu() -> str:
    """The processor's model and how many logical cores there are."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0]}, {len(models)} logical cores" if models else platform.processor()
