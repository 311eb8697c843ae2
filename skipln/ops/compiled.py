"""C++ with OpenMP, compiled once for this machine and kept in the user's cache.

The cache is $SKIPLN_CACHE if set, else skipln/ in $XDG_CACHE_HOME or ~/.cache.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import record_function

COMMON = Path(__file__).parent  # holds the headers that all sources share
# Linking is done without -fopenmp: the symbols are then those of torch's OpenMP, so that no second pool of threads
# competes for the cores.
COMPILE = (
    "-std=c++17",
    "-O2",
    "-march=native",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fPIC",
    "-fopenmp",
    "-Wno-psabi",
    f"-I{COMMON}",
)

TYPES = {torch.float32: "float", torch.bfloat16: "bfloat16"}  # dtypes that a kernel may have, as C++ names them
Kernel = Callable[..., None]

log = logging.getLogger(__name__)


@functools.cache
def compiled(source: Path) -> ctypes.CDLL | None:
    """Compile one C++ file, which may include headers beside it and beside this module, and return its library.

    Return None and log why if compilation fails; the caller then uses its plain form.
    """
    compiler = shutil.which(os.environ.get("CXX") or "c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        log.info("no C++ compiler: %s uses its plain form", source.stem)
        return None
    try:
        return ctypes.CDLL(str(_built(source, compiler)))
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        log.info("%s was not compiled and uses its plain form: %s", source.stem, said.strip()[:200])
        return None


def inference_kernel(source: Path, *inputs: Tensor) -> Kernel | None:
    """Return `cpu_kernel` for the dtype of `inputs`.

    Return None unless all are on the CPU and of one dtype, and no gradient is asked for.
    """
    kinds = {(x.device.type, x.dtype) for x in inputs}
    device, kind = kinds.pop()
    return None if kinds or device != "cpu" or torch.is_grad_enabled() else cpu_kernel(source, kind)


def cpu_kernel(source: Path, kind: torch.dtype, part: str = "") -> Kernel | None:
    """Return the function <source's stem><part>_<dtype>, or None if there is none or compilation fails.

    Call it with a tuple of integers, which the C++ sees as a struct of int64_t, and the contiguous tensors. torch's
    profiler shows it by the source's stem.
    """
    if kind not in TYPES or (library := compiled(source)) is None:
        return None
    function = getattr(library, f"{source.stem}{part}_{TYPES[kind]}")

    def call(numbers: tuple[int, ...], *tensors: Tensor) -> None:
        function.argtypes = function.argtypes or [ctypes.c_void_p] * (1 + len(tensors))
        with record_function(source.stem) if torch.autograd._profiler_enabled() else nullcontext():
            function((ctypes.c_int64 * len(numbers))(*numbers), *[t.data_ptr() for t in tensors])

    return call


def _built(source: Path, compiler: str) -> Path:
    headers = sorted({*source.parent.glob("*.h"), *COMMON.glob("*.h")})
    parts = [
        _run(compiler, "--version"),
        " ".join(COMPILE[:-1]),
        _processor(),
        torch.__version__,
        *(path.read_text("utf-8") for path in (source, *headers)),
    ]
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("SKIPLN_CACHE") or _user_cache() / "skipln")
    path = folder / f"{source.stem}-{name}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            objects, linked = f"{scratch}/kernel.o", f"{scratch}/kernel.so"
            _run(compiler, *COMPILE, "-c", str(source), "-o", objects)
            _run(compiler, "-shared", objects, "-o", linked)
            Path(linked).replace(path)
    return path


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _processor() -> str:
    """Return the processor's model and features, on which -march=native depends."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
