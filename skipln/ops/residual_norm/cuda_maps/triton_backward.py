"""The gradients of feature maps: all steps forward and back with the moments of each channel, then one pass."""

# mypy: ignore-errors

import triton
import triton.language as tl

from skipln.ops.residual_norm.cuda_maps import launch
from skipln.ops.residual_norm.cuda_maps.triton_moments import about_means, factor, places

FACTORS = tl.constexpr(launch.BACKWARD_FACTORS)


@triton.jit
def backward_steps(
    sums, statistics, gains, biases, normalised, factors, weights_pointer, scale, parts, channels, pixels, steps, count,
    block: tl.constexpr, once: tl.constexpr,
):  # fmt: skip
    """Compute an example's factors [examples, FACTORS, channels] and its gradients of gains and biases, [examples,
    steps, 2, channels]. normalised: room for the factors of each step's xhat, [examples, steps, 3, channels]."""
    example = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, block)
    here = c < channels
    mean_x, mean_f, xx, xf, ff, mean_g, gx, gf = about_means(sums, parts, channels, pixels, c, not once, True)
    zero = tl.zeros_like(mean_x)
    a, b, m = zero + scale, zero + 1, scale * mean_x + mean_f
    if once:  # x is the kept sum, and there is no F
        a, b, m = zero + 1, zero, mean_x
    for k in range(steps):
        mean = tl.sum(tl.where(here, m, 0.0), 0) / channels  # not the kept one, which is rounded
        rstd = tl.load(statistics + (example * steps + k) * 2 + 1)
        a, b, m = rstd * a, rstd * b, rstd * (m - mean)
        out = normalised + (example * steps + k) * 3 * channels + c
        tl.store(out, a, here)
        tl.store(out + channels, b, here)
        tl.store(out + 2 * channels, m, here)
        weights = (k % count) * channels + c
        gain = tl.load(gains + weights, here, 0.0)
        a, b = scale + gain * a, gain * b
        m = scale * mean_x + gain * m + tl.load(biases + weights, here, 0.0)
    tl.debug_barrier()  # a thread may read below what another has written

    # The gradient of h_k is dg·(g − mean g) + dx·(x − mean x) + df·(F − mean F) + d; x's is scale times their sum.
    dg, dx, df, d = zero + 1, zero, zero, mean_g
    sum_g, sum_x, sum_f, total = zero, zero, zero, zero
    for j in range(steps):
        k = steps - 1 - j
        xhat = normalised + (example * steps + k) * 3 * channels + c
        a, b, m = tl.load(xhat, here, 0.0), tl.load(xhat + channels, here, 0.0), tl.load(xhat + 2 * channels, here, 0.0)
        of_gain = dg * (a * gx + b * gf) + dx * (a * xx + b * xf) + df * (a * xf + b * ff) + d * m * pixels
        of_bias = d * pixels
        out = weights_pointer + (example * steps + k) * 2 * channels + c
        tl.store(out, of_gain, here)
        tl.store(out + channels, of_bias, here)
        gain = tl.load(gains + (k % count) * channels + c, here, 0.0)
        mean = tl.sum(gain * of_bias, 0) / channels / pixels
        along = tl.sum(gain * of_gain, 0) / channels / pixels
        rstd = tl.load(statistics + (example * steps + k) * 2 + 1)
        dg, dx, df = rstd * gain * dg, rstd * (gain * dx - along * a), rstd * (gain * df - along * b)
        d = tl.where(here, rstd * (gain * d - mean - along * m), 0.0)
        sum_g, sum_x, sum_f, total = sum_g + dg, sum_x + dx, sum_f + df, total + d
    out = factors + example * FACTORS * channels + c
    tl.store(out, dg, here)
    tl.store(out + channels, dx, here)
    tl.store(out + 2 * channels, df, here)
    tl.store(out + 3 * channels, d - dg * mean_g - dx * mean_x - df * mean_f, here)
    tl.store(out + 4 * channels, scale * sum_g, here)
    tl.store(out + 5 * channels, scale * sum_x, here)
    tl.store(out + 6 * channels, scale * sum_f, here)
    tl.store(out + 7 * channels, scale * (total - sum_g * mean_g - sum_x * mean_x - sum_f * mean_f), here)


@triton.jit
def backward_maps(
    g_pointer, x_pointer, f_pointer, gx_pointer, gf_pointer, factors, channels, pixels, last: tl.constexpr,
    block_c: tl.constexpr, block_p: tl.constexpr, once: tl.constexpr, both: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(1) * block_c + tl.arange(0, block_c)
    at, inside = places(channels, pixels, c, tl.program_id(2) * block_p + tl.arange(0, block_p), last)
    g = tl.load(g_pointer + at, inside, 0.0).to(tl.float32)
    x = tl.load(x_pointer + at, inside, 0.0).to(tl.float32)
    f = tl.zeros_like(x)
    if not once:
        f = tl.load(f_pointer + at, inside, 0.0).to(tl.float32)
    tl.store(gf_pointer + at, _combined(factors, channels, c, g, x, f, 0, once).to(gf_pointer.dtype.element_ty), inside)
    if both:
        gx = _combined(factors, channels, c, g, x, f, 4, once)
        tl.store(gx_pointer + at, gx.to(gx_pointer.dtype.element_ty), inside)


@triton.jit
def _combined(factors, channels, c, g, x, f, start: tl.constexpr, once: tl.constexpr):
    """Return the sum of g, x and F, each times its factor, and the constant."""
    found = factor(factors, channels, c, start, FACTORS) * g + factor(factors, channels, c, start + 3, FACTORS)
    found += factor(factors, channels, c, start + 1, FACTORS) * x
    if not once:
        found += factor(factors, channels, c, start + 2, FACTORS) * f
    return found
