"""The Triton kernels that cuda.py calls.

In forward_rows and backward_rows a program holds a whole row in its registers. The gradients of gains and biases are
sums over rows. They have a kernel of their own, backward_weights, whose programs take a few channels of many rows,
since the sums of every step do not fit in registers beside a whole row.
"""

# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def _mix(counter, key0, key1):
    z = counter ^ key0
    z = (z ^ (z >> 16)) * 0x7FEB352D
    z = z ^ key1
    z = (z ^ (z >> 15)) * 0x846CA68B
    return z ^ (z >> 16)


@triton.jit
def _keep(seed_pointer, row, columns, threshold, kept_scale):
    """Return 1 / (1 − p) at the elements of a row that dropout keeps, 0 at the others."""
    seed = tl.load(seed_pointer)
    low, high = (seed & 0xFFFFFFFF).to(tl.uint32), ((seed >> 32) & 0xFFFFFFFF).to(tl.uint32)
    counter = row.to(tl.uint32)
    bits = _mix(columns.to(tl.uint32), _mix(counter, low, high), _mix(counter, high, low))
    return tl.where(bits.to(tl.int64) >= threshold, kept_scale, 0.0)


@triton.jit
def forward_rows(
    x_pointer, f_pointer, y_pointer, kept_pointer, statistics, gains, biases, seed, threshold, kept_scale, scale, eps,
    channels, block: tl.constexpr, steps: tl.constexpr, count: tl.constexpr, drops: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, block)
    inside = columns < channels
    at = row * channels + columns
    x = scale * tl.load(x_pointer + at, inside, 0.0).to(tl.float32)
    y = tl.load(f_pointer + at, inside, 0.0).to(tl.float32)
    if drops:
        y = y * _keep(seed, row, columns, threshold, kept_scale)
    for k in tl.static_range(steps):
        h = x + y
        if steps == 1:
            rounded = h.to(kept_pointer.dtype.element_ty)
            tl.store(kept_pointer + at, rounded, inside)
            h = rounded.to(tl.float32)
        mean = tl.sum(h, 0) / channels
        centred = tl.where(inside, h - mean, 0.0)
        rstd = 1 / tl.sqrt(tl.sum(centred * centred, 0) / channels + eps)
        tl.store(statistics + (row * steps + k) * 2, mean)
        tl.store(statistics + (row * steps + k) * 2 + 1, rstd)
        weights = (k % count) * channels + columns
        gain, bias = tl.load(gains + weights, inside, 0.0), tl.load(biases + weights, inside, 0.0)
        y = centred * rstd * gain + bias
    tl.store(y_pointer + at, y.to(y_pointer.dtype.element_ty), inside)


@triton.jit
def _xhat(
    x, f, statistics, gains, biases, row, columns, inside, channels, k: tl.constexpr, steps: tl.constexpr,
    count: tl.constexpr,
):  # fmt: skip
    """Recompute the normalised sum of step k from the kept statistics: arithmetic costs less than memory."""
    y = f
    xhat = f
    for j in tl.static_range(k + 1):
        moments = statistics + (row * steps + j) * 2
        xhat = tl.where(inside, (x + y - tl.load(moments)) * tl.load(moments + 1), 0.0)
        if j < k:
            weights = (j % count) * channels + columns
            y = xhat * tl.load(gains + weights, inside, 0.0) + tl.load(biases + weights, inside, 0.0)
    return xhat


@triton.jit
def _inputs(x_pointer, f_pointer, at, inside, keep, scale, steps: tl.constexpr, drops: tl.constexpr):
    """Return scale·x and F after its dropout; with one step, 0 and the sum that was kept."""
    f = tl.load(f_pointer + at, inside, 0.0).to(tl.float32)
    if steps == 1:
        return tl.zeros_like(f), f
    if drops:
        f = f * keep
    return scale * tl.load(x_pointer + at, inside, 0.0).to(tl.float32), f


@triton.jit
def backward_rows(
    gy_pointer, x_pointer, f_pointer, statistics, gains, biases, gx_pointer, gf_pointer, means, seed, threshold,
    kept_scale, scale, channels, block: tl.constexpr, steps: tl.constexpr, count: tl.constexpr, drops: tl.constexpr,
    both: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of x and F, and the two means, of t and of t ⊙ xhat, of every row and step."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, block)
    inside = columns < channels
    at = row * channels + columns
    keep = 1.0
    if drops:
        keep = _keep(seed, row, columns, threshold, kept_scale)
    x, f = _inputs(x_pointer, f_pointer, at, inside, keep, scale, steps, drops)
    g = tl.load(gy_pointer + at, inside, 0.0).to(tl.float32)
    gx = tl.zeros_like(g)
    for k in tl.static_range(steps - 1, -1, -1):
        xhat = _xhat(x, f, statistics, gains, biases, row, columns, inside, channels, k, steps, count)
        t = g * tl.load(gains + (k % count) * channels + columns, inside, 0.0)
        mean = tl.sum(t, 0) / channels
        along = tl.sum(t * xhat, 0) / channels
        tl.store(means + (row * steps + k) * 2, mean)
        tl.store(means + (row * steps + k) * 2 + 1, along)
        rstd = tl.load(statistics + (row * steps + k) * 2 + 1)
        g = tl.where(inside, rstd * (t - mean - xhat * along), 0.0)
        gx += g
    if both:
        tl.store(gx_pointer + at, (scale * gx).to(gx_pointer.dtype.element_ty), inside)
    if drops:
        g = g * keep
    tl.store(gf_pointer + at, g.to(gf_pointer.dtype.element_ty), inside)


@triton.jit
def backward_weights(
    gy_pointer, x_pointer, f_pointer, statistics, means, gains, biases, weights_pointer, rows, seed, threshold,
    kept_scale, scale, channels, block: tl.constexpr, steps: tl.constexpr, count: tl.constexpr, drops: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of gains and biases: a program sums `block` channels of every num_programs-th row.

    Lanes exchange nothing: given the statistics and the means of `backward_rows`, all arithmetic is elementwise.
    """
    columns = tl.program_id(1) * block + tl.arange(0, block)
    inside = columns < channels
    zero = tl.zeros((block,), tl.float32)
    ggains, gbiases = (zero,) * steps, (zero,) * steps
    for index in range(tl.program_id(0), rows, tl.num_programs(0)):
        row = tl.zeros((), tl.int64) + index
        at = row * channels + columns
        keep = 1.0
        if drops and steps > 1:
            keep = _keep(seed, row, columns, threshold, kept_scale)
        x, f = _inputs(x_pointer, f_pointer, at, inside, keep, scale, steps, drops)
        g = tl.load(gy_pointer + at, inside, 0.0).to(tl.float32)
        of_gains, of_biases = (), ()
        for k in tl.static_range(steps - 1, -1, -1):
            xhat = _xhat(x, f, statistics, gains, biases, row, columns, inside, channels, k, steps, count)
            of_gains = (ggains[k] + g * xhat,) + of_gains  # noqa: RUF005, Triton has no unpacking
            of_biases = (gbiases[k] + g,) + of_biases  # noqa: RUF005
            if k > 0:
                t = g * tl.load(gains + (k % count) * channels + columns, inside, 0.0)
                two = means + (row * steps + k) * 2
                rstd = tl.load(statistics + (row * steps + k) * 2 + 1)
                g = tl.where(inside, rstd * (t - tl.load(two) - xhat * tl.load(two + 1)), 0.0)
        ggains, gbiases = of_gains, of_biases
    for k in tl.static_range(steps):
        out = weights_pointer + (tl.program_id(0) * steps + k) * 2 * channels + columns
        tl.store(out, ggains[k], inside)
        tl.store(out + channels, gbiases[k], inside)
