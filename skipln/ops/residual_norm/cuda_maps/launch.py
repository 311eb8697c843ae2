"""Launch each kernel of feature maps, with the sizes and warps that fit them."""

import importlib
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skipln.ops.residual_norm.reference import Site, memory_format

MOST_CHANNELS = 2048  # whose moments one program holds in its registers
TILE = 1024  # elements of a map that a program of four warps holds at a time, eight in a lane
PROGRAMS = 1024  # enough to hide the latency of memory: about eight for each multiprocessor of a large GPU
# Numbers of a channel: sums of x, F, x², xF, F², g, gx and gF, where g is the gradient of y, and the first x, F and g,
# which have been subtracted before.
SUMS = 11
FORWARD_FACTORS = 3  # of a channel: of x, of F, and the constant
BACKWARD_FACTORS = 8  # of g, x and F, and the constant: first for the gradient of F, then for that of x
MOST_PARTS = 8  # into which a map's pixels are divided; the steps wait for one after another


class Maps(NamedTuple):
    """The sizes of feature maps, and how programs share them."""

    examples: int
    channels: int
    pixels: int
    last: bool  # in memory the channels of a pixel are neighbours
    block_c: int
    block_p: int

    @property
    def blocks(self) -> tuple[int, int, int]:
        """Return the grid of an elementwise pass."""
        return self.examples, -(-self.channels // self.block_c), -(-self.pixels // self.block_p)

    @property
    def pixels_each(self) -> int:
        """Return the pixels that a program of `moments` sums."""
        examples, channel_blocks, tiles = self.blocks
        parts = min(max(1, PROGRAMS // (examples * channel_blocks)), MOST_PARTS, tiles)
        return -(-tiles // parts) * self.block_p

    @property
    def parts(self) -> int:
        return -(-self.pixels // self.pixels_each)


def of(x: Tensor) -> Maps:
    """Describe maps [examples, channels, height, width]."""
    examples, channels, *sides = x.shape
    pixels = sides[0] * sides[1]
    last = channels > 1 and memory_format(x, "nchw") == torch.channels_last
    return Maps(examples, channels, pixels, last, *tile(channels, pixels, last))


def tile(channels: int, pixels: int, last: bool) -> tuple[int, int]:
    """Return the channels and pixels of a tile: neighbours in memory first, at most 64 channels or TILE pixels."""
    if last:
        block = min(power_of_two(channels), 64)
        return block, TILE // block
    block = min(power_of_two(pixels), TILE)
    return TILE // block, block


def step_warps(channels: int) -> int:
    """Return the warps of a program that goes through the steps of an example, four channels per lane."""
    return max(1, power_of_two(channels) // 32 // 4)


def power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def moments(maps: Maps, x: Tensor, f: Tensor | None, g: Tensor | None) -> Tensor:
    """Return [examples, parts, sums, channels]: sums over pixels of x and, if given, F and g, and of their products.

    x, F and g must be dense in the memory format of `maps`.
    """
    sums = x.new_empty(maps.examples, maps.parts, SUMS, maps.channels, dtype=torch.float32)
    kernel("moments").moments[(*maps.blocks[:2], maps.parts)](
        x, f, g, sums, maps.channels, maps.pixels, maps.pixels_each, maps.last, maps.block_c, maps.block_p,
        f is not None, g is not None,
    )  # fmt: skip
    return sums


def forward_steps(maps: Maps, sums: Tensor, gains: Tensor, biases: Tensor, site: Site) -> tuple[Tensor, Tensor]:
    """Return y's factors for each example and channel, and mean and 1/std of every h_k."""
    factors = sums.new_empty(maps.examples, FORWARD_FACTORS, maps.channels)
    statistics = sums.new_empty(maps.examples, site.steps, 2)
    kernel("forward").forward_steps[(maps.examples,)](
        sums, gains, biases, factors, statistics, site.scale, site.eps, maps.parts, maps.channels, maps.pixels,
        site.steps, len(gains), power_of_two(maps.channels), num_warps=step_warps(maps.channels),
    )  # fmt: skip
    return factors, statistics


def forward_maps(maps: Maps, x: Tensor, f: Tensor, factors: Tensor, site: Site) -> tuple[Tensor, Tensor]:
    """Return y, and with one step the sum h_1."""
    y = torch.empty_like(x, dtype=torch.promote_types(x.dtype, f.dtype))
    once = site.steps == 1
    kept = torch.empty_like(y) if once else y.new_empty(0)
    kernel("forward").forward_maps[maps.blocks](
        x, f, y, kept, factors, site.scale, maps.channels, maps.pixels, maps.last, maps.block_c, maps.block_p, once
    )
    return y, kept


def backward_steps(
    maps: Maps, sums: Tensor, statistics: Tensor, gains: Tensor, biases: Tensor, site: Site
) -> tuple[Tensor, Tensor]:
    """Return the gradients' factors for each example and channel, and the gradients of gains and biases of each
    example, [examples, steps, 2, channels]."""
    factors = sums.new_empty(maps.examples, BACKWARD_FACTORS, maps.channels)
    weights = sums.new_empty(maps.examples, site.steps, 2, maps.channels)
    normalised = sums.new_empty(maps.examples, site.steps, 3, maps.channels)
    kernel("backward").backward_steps[(maps.examples,)](
        sums, statistics, gains, biases, normalised, factors, weights, site.scale, maps.parts, maps.channels,
        maps.pixels, site.steps, len(gains), power_of_two(maps.channels), site.steps == 1,
        num_warps=step_warps(maps.channels),
    )  # fmt: skip
    return factors, weights


def backward_maps(
    maps: Maps, g: Tensor, x: Tensor, f: Tensor | None, factors: Tensor, dtypes: tuple[torch.dtype, torch.dtype],
    both: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the gradients of x (empty unless `both`) and F."""
    gx = torch.empty_like(g, dtype=dtypes[0]) if both else g.new_empty(0, dtype=dtypes[0])
    gf = torch.empty_like(g, dtype=dtypes[1])
    kernel("backward").backward_maps[maps.blocks](
        g, x, f, gx, gf, factors, maps.channels, maps.pixels, maps.last, maps.block_c, maps.block_p, f is None, both
    )
    return gx, gf


def kernel(name: str) -> Any:
    """Import a module of kernels, and Triton with it."""
    return importlib.import_module(f"skipln.ops.residual_norm.cuda_maps.triton_{name}")
