"""The Triton kernels, compiled for GPUs that are not here: they spill nothing, and enough warps fit."""

import pytest
import yaml

from skipln.ops.residual_norm import cuda
from skipln.system.places import CONFIGS
from tests.ops.ahead_of_time import ARCHITECTURES, resident, usage

# Bytes that the warps of a multiprocessor can request from memory at a time. Full bandwidth takes about 19 KB on an
# H200 (4.2 TB/s, 132 multiprocessors, 0.6 µs assumed). Sums of gains and biases have fewest, and arithmetic to hide it.
IN_FLIGHT = 6_000


def widths() -> list[int]:
    """Return the numbers of channels of the zoo's Transformers."""
    models = (yaml.safe_load(path.read_text("utf-8")) for path in sorted((CONFIGS / "model").glob("transformer*.yaml")))
    return sorted({model["dim"] for model in models})


@pytest.mark.parametrize("drops", [False, True], ids=["plain", "dropout"])
@pytest.mark.parametrize("steps", range(1, cuda.MOST_STEPS + 1))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_kernel_spills_and_enough_warps_fit(architecture, steps, drops):
    shared = {"steps": steps, "count": steps, "drops": drops}
    kernels = [("backward_weights", cuda.sum_warps(steps), {"block": cuda.BLOCK})]
    for width in widths():
        assert cuda.backward_warps(width, steps) <= cuda.MOST_WARPS
        kernels.append(("forward_rows", cuda.forward_warps(width), {"block": width}))
        kernels.append(("backward_rows", cuda.backward_warps(width, steps), {"block": width, "both": True}))
    for kernel, warps, constants in kernels:
        registers, stack = usage(getattr(cuda.kernels(), kernel), architecture, warps, **shared, **constants)
        assert stack == 0, f"{kernel} {constants} keeps {stack} bytes of stack"
        together = resident(registers, warps)
        asked = together * 2 * (2 if steps == 1 or kernel == "forward_rows" else 3) * constants["block"] // warps
        assert asked >= IN_FLIGHT, f"{kernel} {constants} takes {registers} registers: {together} warps fit"
