"""The Triton kernels of feature maps, compiled for GPUs that are not here: they spill nothing, and enough warps fit.

λ is an argument of these kernels, so what is compiled here holds for every λ.
"""

import pytest
import yaml

from skipln.ops.residual_norm.cuda_maps import launch
from skipln.system.places import CONFIGS
from tests.ops.ahead_of_time import ARCHITECTURES, resident, usage

WIDTHS = [16, 32, 64, 128, 256, 512, 1024, 2048]  # channels of the zoo's ResNets
IN_FLIGHT = 19_000  # bytes of requests that keep a memory of 4 TB/s busy, per multiprocessor; test_ahead_of_time.py
TILES = {(True, *launch.tile(width, 1024, True)) for width in WIDTHS} | {(False, *launch.tile(64, 56 * 56, False))}


def test_the_widths_are_those_of_the_zoo():
    found = set()
    for path in sorted((CONFIGS / "model").glob("*resnet*.yaml")):
        model = yaml.safe_load(path.read_text("utf-8"))
        wider = 4 if model["block"] == "bottleneck" else 1
        found |= {model["width"] * 2**stage * wider for stage in range(len(model["blocks"]))}
    assert found == set(WIDTHS)


@pytest.mark.parametrize(("last", "block_c", "block_p"), sorted(TILES))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_passes_over_a_map_spill_nothing_and_fill_the_memory(architecture, last, block_c, block_p):
    tile = {"last": last, "block_c": block_c, "block_p": block_p}
    passes = [
        (3, launch.kernel("moments").moments, {"has_f": True, "has_g": True}),
        (2, launch.kernel("forward").forward_maps, {"once": False}),
        (3, launch.kernel("backward").backward_maps, {"once": False, "both": True}),
    ]
    for maps, kernel, constants in passes:
        registers, stack = usage(kernel, architecture, 4, **tile, **constants)
        assert stack == 0, f"{kernel} {tile} keeps {stack} bytes of stack"
        assert resident(registers, 4) // 4 * maps * 2 * launch.TILE >= IN_FLIGHT, (
            f"{kernel} takes {registers} registers"
        )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steps_spill_nothing(architecture, width):
    warps = launch.step_warps(width)
    kernels = [
        (launch.kernel("backward").backward_steps, {"once": False}),
        (launch.kernel("forward").forward_steps, {}),
    ]
    for kernel, constants in kernels[: 2 if width == max(WIDTHS) else 1]:  # the forward pass holds less than the other
        registers, stack = usage(kernel, architecture, warps, block=width, **constants)
        assert stack == 0 and resident(registers, warps) >= warps, f"{kernel} {width}: {registers} registers"


def test_what_a_launch_compiles_for_one_step_and_one_tile_compiles():
    """Triton compiles a kernel of its own for numbers that are 1 and for tensors that are None."""
    one = {"parts": 1, "steps": 1, "count": 1}
    tile = {"last": True, "block_c": 64, "block_p": 16, "pixels": 1}
    once = {"f_pointer": None, "once": True}
    forward, backward = (launch.kernel(name) for name in ("forward", "backward"))
    kernels = [
        (launch.kernel("moments").moments, {**tile, "f_pointer": None, "has_f": False, "has_g": True}),
        (launch.kernel("moments").moments, {**tile, "g_pointer": None, "has_f": True, "has_g": False}),
        (forward.forward_steps, {**one, "pixels": 1, "block": 64}),
        (forward.forward_maps, {**tile, "once": True}),
        (backward.backward_steps, {**one, "pixels": 1, "block": 64, "once": True}),
        (backward.backward_maps, {**tile, **once, "gx_pointer": None, "both": False}),
    ]
    for kernel, constants in kernels:
        assert usage(kernel, 90, 1 if "block" in constants else 4, **constants)[1] == 0
