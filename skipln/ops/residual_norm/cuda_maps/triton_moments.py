"""Sums over the pixels of a channel, and the means and products about them that follow."""

# mypy: ignore-errors

import triton
import triton.language as tl

from skipln.ops.residual_norm.cuda_maps import launch

SUMS = tl.constexpr(launch.SUMS)


@triton.jit
def places(channels, pixels, c, p, last: tl.constexpr):
    """Return where the elements [channel, pixel] of this program's example are, and which of them exist."""
    example = tl.program_id(0).to(tl.int64) * channels * pixels
    inside = (c < channels)[:, None] & (p < pixels)[None, :]
    if last:
        return example + p[None, :] * channels + c[:, None], inside
    return example + c[:, None] * pixels + p[None, :], inside


@triton.jit
def _first(pointer, channels, pixels, c, last: tl.constexpr):
    """Return a channel's first element, from which its sums count, so that a mean far from 0 costs no digits."""
    at = c if last else c * pixels
    return tl.load(pointer + tl.program_id(0).to(tl.int64) * channels * pixels + at, c < channels, 0.0).to(tl.float32)


@triton.jit
def moments(
    x_pointer, f_pointer, g_pointer, sums, channels, pixels, pixels_each, last: tl.constexpr, block_c: tl.constexpr,
    block_p: tl.constexpr, has_f: tl.constexpr, has_g: tl.constexpr,
):  # fmt: skip
    """Sum over `pixels_each` pixels, a multiple of block_p, what `launch.SUMS` lists, into sums [examples, parts, SUMS,
    channels]."""
    c = tl.program_id(1) * block_c + tl.arange(0, block_c)
    x0 = _first(x_pointer, channels, pixels, c, last)
    f0, g0 = x0, x0
    if has_f:
        f0 = _first(f_pointer, channels, pixels, c, last)
    if has_g:
        g0 = _first(g_pointer, channels, pixels, c, last)
    zero = tl.zeros((block_c, block_p), tl.float32)
    x, f, xx, xf, ff, g, gx, gf = zero, zero, zero, zero, zero, zero, zero, zero
    begin = tl.program_id(2) * pixels_each
    for start in range(begin, tl.minimum(begin + pixels_each, pixels), block_p):
        at, inside = places(channels, pixels, c, start + tl.arange(0, block_p), last)
        xi = tl.where(inside, tl.load(x_pointer + at, inside, 0.0).to(tl.float32) - x0[:, None], 0.0)
        x, xx = x + xi, xx + xi * xi
        if has_f:
            fi = tl.where(inside, tl.load(f_pointer + at, inside, 0.0).to(tl.float32) - f0[:, None], 0.0)
            f, xf, ff = f + fi, xf + xi * fi, ff + fi * fi
        if has_g:
            gi = tl.where(inside, tl.load(g_pointer + at, inside, 0.0).to(tl.float32) - g0[:, None], 0.0)
            g, gx = g + gi, gx + gi * xi
            if has_f:
                gf += gi * fi
    out = sums + (tl.program_id(0).to(tl.int64) * tl.num_programs(2) + tl.program_id(2)) * SUMS * channels + c
    here = c < channels
    tl.store(out, tl.sum(x, 1), here)
    tl.store(out + 2 * channels, tl.sum(xx, 1), here)
    if has_f:
        tl.store(out + channels, tl.sum(f, 1), here)
        tl.store(out + 3 * channels, tl.sum(xf, 1), here)
        tl.store(out + 4 * channels, tl.sum(ff, 1), here)
    if has_g:
        tl.store(out + 5 * channels, tl.sum(g, 1), here)
        tl.store(out + 6 * channels, tl.sum(gx, 1), here)
    if has_f and has_g:
        tl.store(out + 7 * channels, tl.sum(gf, 1), here)
    tl.store(out + 8 * channels, x0, here)
    tl.store(out + 9 * channels, f0, here)
    tl.store(out + 10 * channels, g0, here)


@triton.jit
def about_means(sums, parts, channels, pixels, c, has_f: tl.constexpr, has_g: tl.constexpr):
    """Return, for each channel, the means of x, F and g, and the sums of their products about the means."""
    here = c < channels
    zero = tl.zeros_like(c).to(tl.float32)
    x, f, xx, xf, ff, g, gx, gf = zero, zero, zero, zero, zero, zero, zero, zero
    for part in range(parts):
        at = sums + (tl.program_id(0).to(tl.int64) * parts + part) * SUMS * channels + c
        x += tl.load(at, here, 0.0)
        xx += tl.load(at + 2 * channels, here, 0.0)
        if has_f:
            f += tl.load(at + channels, here, 0.0)
            xf += tl.load(at + 3 * channels, here, 0.0)
            ff += tl.load(at + 4 * channels, here, 0.0)
        if has_g:
            g += tl.load(at + 5 * channels, here, 0.0)
            gx += tl.load(at + 6 * channels, here, 0.0)
        if has_f and has_g:
            gf += tl.load(at + 7 * channels, here, 0.0)
    x, f, g = x / pixels, f / pixels, g / pixels
    xx, xf, ff = xx - pixels * x * x, xf - pixels * x * f, ff - pixels * f * f
    gx, gf = gx - pixels * g * x, gf - pixels * g * f
    first = sums + tl.program_id(0).to(tl.int64) * parts * SUMS * channels + 8 * channels + c
    x += tl.load(first, here, 0.0)
    if has_f:
        f += tl.load(first + channels, here, 0.0)
    if has_g:
        g += tl.load(first + 2 * channels, here, 0.0)
    return x, f, xx, xf, ff, g, gx, gf


@triton.jit
def factor(factors, channels, c, number: tl.constexpr, of: tl.constexpr):
    """Return one of the `of` factors of each channel, [channels, 1], from factors [examples, of, channels]."""
    at = (tl.program_id(0).to(tl.int64) * of + number) * channels + c
    return tl.load(factors + at, c < channels, 0.0)[:, None]
