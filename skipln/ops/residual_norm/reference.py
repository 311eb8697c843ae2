"""The residual site and its gradient in plain torch; the tests compare every other implementation with it.

    y_0 = dropout(F)        y_k = g_k ⊙ (h_k − mean h_k) / sqrt(var h_k + eps) + b_k,   h_k = scale·x + y_{k−1}

for k = 1 … steps; y_steps is the output. One step is xSkip+LN, scale 1 is rSkip+LN. Mean and variance are over the
channels of each position (layout "btc") or over (C, H, W) of each example ("nchw"). The arithmetic is float32 (float64
for float64 inputs), and the result is rounded once.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Site(NamedTuple):
    """A site's settings, apart from its tensors. Dropout is drawn from `seed`, an int64 tensor."""

    steps: int
    scale: float
    eps: float
    dropout: float
    seed: Tensor | None
    layout: str


def memory_format(x: Tensor, layout: str) -> torch.memory_format:
    """Return the memory format in which a site computes: channels-last if its feature maps are, else contiguous."""
    last = layout == "nchw" and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def forward(x: Tensor, f: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor], site: Site) -> tuple[Tensor, ...]:
    """Return y, the sum h_1 (empty if there are several steps), and mean and 1/std of every h_k, [rows, steps, 2]."""
    dtype = torch.promote_types(x.dtype, f.dtype)
    y, statistics, kept = dropped(_wide(f), site), [], x.new_empty(0, dtype=dtype)
    for k in range(site.steps):
        h = site.scale * _wide(x) + y
        if site.steps == 1:
            kept = h.to(dtype)
            h = _wide(kept)
        xhat, mean, rstd = _normalise(h, site)
        y = _weigh(xhat, gains, biases, k, site)
        statistics.append(torch.stack((mean.flatten(), rstd.flatten()), -1))
    return y.to(dtype), kept, torch.stack(statistics, 1)


def backward(
    gy: Tensor, x: Tensor | None, f: Tensor | None, kept: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor],
    site: Site,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of x, of F, and of gains and biases [steps, 2, channels]; x and F, or the sum `kept`."""
    h = _wide(kept) if x is None or f is None else site.scale * _wide(x) + dropped(_wide(f), site)
    xhats, rstds = [], []
    for k in range(site.steps):
        xhat, _, rstd = _normalise(h, site)
        xhats.append(xhat)
        rstds.append(rstd)
        if x is not None:
            h = site.scale * _wide(x) + _weigh(xhat, gains, biases, k, site)
    g, gx, weights = _wide(gy), torch.zeros_like(h), []
    dims, others = _dims(g, site), [d for d in range(g.dim()) if d != _channel(g, site)]
    for k in reversed(range(site.steps)):
        weights.append(torch.stack(((g * xhats[k]).sum(others), g.sum(others))) if gains else g.new_empty(2, 0))
        t = g * _per_channel(gains[k % len(gains)], site) if gains else g
        g = rstds[k] * (t - t.mean(dims, True) - xhats[k] * (t * xhats[k]).mean(dims, True))
        gx = gx + site.scale * g
    return gx, dropped(g, site), torch.stack(weights[::-1])


def dropped(f: Tensor, site: Site) -> Tensor:
    """F ⊙ m / (1 − p). The mask m is a hash of seed, row and column, so it is the same at every call."""
    if site.dropout == 0 or site.seed is None:
        return f
    columns = f.shape[-1] if site.layout == "btc" else math.prod(f.shape[1:])
    low, high = site.seed & 0xFFFFFFFF, (site.seed >> 32) & 0xFFFFFFFF
    row = torch.arange(f.numel() // columns, device=f.device)[:, None]
    column = torch.arange(columns, device=f.device)
    bits = _mix(column, _mix(row, low, high), _mix(row, high, low)).view(f.shape)
    threshold = dropped_of(site.dropout)
    return torch.where(bits >= threshold, f * (2**32 / (2**32 - threshold)), torch.zeros_like(f))


def dropped_of(p: float) -> int:
    """Return how many of the 2³² hashes drop an element: p·2³², rounded."""
    return min(round(p * 2**32), 2**32 - 1)


def _mix(counter: Tensor, key0: Tensor, key1: Tensor) -> Tensor:
    """Return a hash of 32 bits in int64: xor with the keys, multiply and shift until every bit depends on every bit."""
    z = counter ^ key0
    z = ((z ^ (z >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    z = z ^ key1
    z = ((z ^ (z >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return z ^ (z >> 16)


def _normalise(h: Tensor, site: Site) -> tuple[Tensor, Tensor, Tensor]:
    dims = _dims(h, site)
    mean = h.mean(dims, keepdim=True)
    rstd = (h.var(dims, correction=0, keepdim=True) + site.eps).rsqrt()
    return (h - mean) * rstd, mean, rstd


def _weigh(xhat: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor], k: int, site: Site) -> Tensor:
    if not gains:
        return xhat
    gain, bias = gains[k % len(gains)], biases[k % len(biases)]
    return xhat * _per_channel(gain, site).to(xhat.dtype) + _per_channel(bias, site).to(xhat.dtype)


def _per_channel(weight: Tensor, site: Site) -> Tensor:
    return weight if site.layout == "btc" else weight[:, None, None]


def _channel(h: Tensor, site: Site) -> int:
    return h.dim() - 1 if site.layout == "btc" else 1


def _dims(h: Tensor, site: Site) -> tuple[int, ...]:
    return (-1,) if site.layout == "btc" else (1, 2, 3)


def _wide(value: Tensor) -> Tensor:
    return value if value.dtype == torch.float64 else value.float()
