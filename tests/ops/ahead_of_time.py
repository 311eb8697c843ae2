"""Compile a Triton kernel for a GPU that is not here, and read what it takes there."""

import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

triton = pytest.importorskip("triton", reason="no Triton here")
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

ARCHITECTURES = (pytest.param(80, marks=pytest.mark.matrix), 90)  # the default tests compile for one of them
REGISTERS = 65_536  # per multiprocessor, on sm_80 as on sm_90
WARPS = 64  # that a multiprocessor holds at most
# Any other argument is a pointer to float32.
INTEGERS = dict.fromkeys(("rows", "channels", "pixels", "pixels_each", "parts", "steps", "count", "vocabulary"), "i32")
OTHERS = {"seed": "*i64", "targets": "*i64", "threshold": "i64"}
NUMBERS = dict.fromkeys(("scale", "eps", "kept_scale", "smoothing"), "fp32")
ACTIVATIONS = {f"{name}_pointer" for name in ("gy", "g", "x", "f", "y", "kept", "gx", "gf", "logits", "gradient")}


@cache
def usage(kernel: Any, architecture: int, warps: int, **constants: Any) -> tuple[int, int]:
    """Compile a kernel of bf16 activations for sm_`architecture`; return (registers, bytes of stack) per thread.

    Pointers and numbers of channels are multiples of 16, as in the zoo. constants: also arguments for whose value a
    launch compiles a kernel of its own: numbers that are 1, and pointers that are None.
    """
    kinds = INTEGERS | OTHERS | NUMBERS | dict.fromkeys(ACTIVATIONS, "*bf16") | dict.fromkeys(constants, "constexpr")
    signature = {name: kinds.get(name, "*fp32") for name in kernel.arg_names}
    even = [
        i for i, (name, kind) in enumerate(signature.items()) if kind[0] == "*" or name in ("channels", "vocabulary")
    ]
    source = ASTSource(kernel, signature, constants, {(i,): [["tt.divisibility", 16]] for i in even})
    compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": warps})
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        found = subprocess.run([tool, "-res-usage", file.name], capture_output=True, check=True)
    registers, stack = re.search(rb"REG:(\d+) STACK:(\d+)", found.stdout).groups()  # type: ignore[union-attr]
    return int(registers), int(stack)


def resident(registers: int, warps: int) -> int:
    """Return how many warps of such programs a multiprocessor holds at a time."""
    allotted = -(-registers // 8) * 8 * 32  # registers of a warp, which are allocated in eights
    return min(REGISTERS // (allotted * warps), WARPS // warps) * warps
