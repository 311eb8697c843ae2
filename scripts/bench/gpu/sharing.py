"""Start CUDA's Multi-Process Service during a block, so that kernels of several processes run side by side.

Without it the processes take turns on the GPU, each alone, however little of it a small net fills.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

CONTROL = "nvidia-cuda-mps-control"
PROBE = "import torch; print(float((torch.ones(64, 64, device='cuda') @ torch.ones(64, 64, device='cuda')).sum()))"
LONGEST = 30  # seconds for the service to start, and for a first product through it


@contextmanager
def shared_gpu() -> Iterator[bool]:
    """Start the service for all processes that are started inside, and end it afterwards; yield whether it works.

    It yields False and changes nothing if the service is not installed or a first product through it fails.
    """
    if shutil.which(CONTROL) is None:
        yield False
        return
    with tempfile.TemporaryDirectory() as folder:
        own = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        try:
            serves = _succeeds([CONTROL, "-d"]) and _succeeds([sys.executable, "-c", PROBE])
            if not serves:
                _restore(before)
            yield serves
        finally:
            os.environ.update(own)
            subprocess.run([CONTROL], input="quit\n", text=True, check=False, capture_output=True, timeout=LONGEST)
            _restore(before)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=LONGEST).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
