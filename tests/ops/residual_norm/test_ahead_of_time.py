"""The Triton kernels, compiled for GPUs that are not here: they spill nothing, and enough warps fit."""

import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from skipln.ops.residual_norm import cuda
from skipln.system.places import CONFIGS

triton = pytest.importorskip("triton", reason="no Triton here")
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

INTEGERS = {"seed": "*i64", "threshold": "i64", "rows": "i32", "channels": "i32"}
NUMBERS = dict.fromkeys(("scale", "eps", "kept_scale"), "fp32")
ACTIVATIONS = {f"{name}_pointer" for name in ("gy", "x", "f", "y", "kept", "gx", "gf")}
REGISTERS = 65_536  # per multiprocessor, on sm_80 as on sm_90
# Bytes that the warps of a multiprocessor can request from memory at a time. Full bandwidth takes about 19 KB on an
# H200 (4.2 TB/s, 132 multiprocessors, 0.6 µs assumed). Sums of gains and biases have fewest, and arithmetic to hide it.
IN_FLIGHT = 6_000


def widths() -> list[int]:
    """Return the numbers of channels of the zoo's Transformers."""
    models = (yaml.safe_load(path.read_text("utf-8")) for path in sorted((CONFIGS / "model").glob("transformer*.yaml")))
    return sorted({model["dim"] for model in models})


@cache
def usage(kernel: str, architecture: int, warps: int, **constants: Any) -> tuple[int, int]:
    """Compile a kernel of bf16 activations for sm_`architecture`; return (registers, bytes of stack) per thread."""
    function = getattr(cuda.kernels(), kernel)
    kinds = INTEGERS | NUMBERS | dict.fromkeys(constants, "constexpr") | dict.fromkeys(ACTIVATIONS, "*bf16")
    source = ASTSource(function, {name: kinds.get(name, "*fp32") for name in function.arg_names}, constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": warps})
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    return _read(tool, compiled.asm["cubin"])


def _read(tool: Path, cubin: bytes) -> tuple[int, int]:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        found = subprocess.run([tool, "-res-usage", file.name], capture_output=True, check=True)
    registers, stack = re.search(rb"REG:(\d+) STACK:(\d+)", found.stdout).groups()  # type: ignore[union-attr]
    return int(registers), int(stack)


@pytest.mark.parametrize("drops", [False, True], ids=["plain", "dropout"])
@pytest.mark.parametrize("steps", range(1, cuda.MOST_STEPS + 1))
@pytest.mark.parametrize("architecture", [80, 90])
def test_no_kernel_spills_and_enough_warps_fit(architecture, steps, drops):
    shared = {"steps": steps, "count": steps, "drops": drops}
    kernels = [("backward_weights", cuda.sum_warps(steps), {"block": cuda.BLOCK})]
    for width in widths():
        assert cuda.backward_warps(width, steps) <= cuda.MOST_WARPS
        kernels.append(("forward_rows", cuda.forward_warps(width), {"block": width}))
        kernels.append(("backward_rows", cuda.backward_warps(width, steps), {"block": width, "both": True}))
    for kernel, warps, constants in kernels:
        registers, stack = usage(kernel, architecture, warps, **shared, **constants)
        assert stack == 0, f"{kernel} {constants} keeps {stack} bytes of stack"
        allotted = -(-registers // 8) * 8 * 32  # registers of a warp, which are allocated in eights
        together = REGISTERS // (allotted * warps) * warps
        asked = together * 2 * (2 if steps == 1 or kernel == "forward_rows" else 3) * constants["block"] // warps
        assert asked >= IN_FLIGHT, f"{kernel} {constants} takes {registers} registers: {together} warps fit"
