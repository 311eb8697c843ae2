"""y of feature maps: all steps with the moments of each channel, then y in one pass."""

# mypy: ignore-errors

import triton
import triton.language as tl

from skipln.ops.residual_norm.cuda_maps import launch
from skipln.ops.residual_norm.cuda_maps.triton_moments import about_means, factor, places

FACTORS = tl.constexpr(launch.FORWARD_FACTORS)


@triton.jit
def forward_steps(
    sums, gains, biases, factors, statistics, scale, eps, parts, channels, pixels, steps, count, block: tl.constexpr,
):  # fmt: skip
    """Compute mean and 1/std of every h_k of an example, and y's factors, [examples, FACTORS, channels]."""
    example = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, block)
    here = c < channels
    mean_x, mean_f, xx, xf, ff, _, _, _ = about_means(sums, parts, channels, pixels, c, True, False)
    # h_k = a·(x − mean x) + b·(F − mean F) + m
    a, b, m = tl.zeros_like(mean_x) + scale, tl.zeros_like(mean_x) + 1, scale * mean_x + mean_f
    for k in range(steps):
        mean = tl.sum(tl.where(here, m, 0.0), 0) / channels
        m = tl.where(here, m - mean, 0.0)
        squares = tl.sum(a * a * xx + 2 * a * b * xf + b * b * ff + m * m * pixels, 0)
        rstd = 1 / tl.sqrt(tl.maximum(squares / channels / pixels, 0.0) + eps)
        tl.store(statistics + (example * steps + k) * 2, mean)
        tl.store(statistics + (example * steps + k) * 2 + 1, rstd)
        weights = (k % count) * channels + c
        slope = tl.load(gains + weights, here, 0.0) * rstd
        again = tl.where(k + 1 < steps, scale, 0.0)  # x is added to y_k, but not to y_λ
        a, b = again + slope * a, slope * b
        m = again * mean_x + slope * m + tl.load(biases + weights, here, 0.0)
    out = factors + example * FACTORS * channels + c
    tl.store(out, a, here)
    tl.store(out + channels, b, here)
    tl.store(out + 2 * channels, m - a * mean_x - b * mean_f, here)


@triton.jit
def forward_maps(
    x_pointer, f_pointer, y_pointer, kept_pointer, factors, scale, channels, pixels, last: tl.constexpr,
    block_c: tl.constexpr, block_p: tl.constexpr, once: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(1) * block_c + tl.arange(0, block_c)
    at, inside = places(channels, pixels, c, tl.program_id(2) * block_p + tl.arange(0, block_p), last)
    x = tl.load(x_pointer + at, inside, 0.0).to(tl.float32)
    f = tl.load(f_pointer + at, inside, 0.0).to(tl.float32)
    if once:
        tl.store(kept_pointer + at, (scale * x + f).to(kept_pointer.dtype.element_ty), inside)
    y = factor(factors, channels, c, 1, FACTORS) * f + factor(factors, channels, c, 2, FACTORS)
    y += factor(factors, channels, c, 0, FACTORS) * x
    tl.store(y_pointer + at, y.to(y_pointer.dtype.element_ty), inside)
