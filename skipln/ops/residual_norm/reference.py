"""The definition of the residual site, and of its gradient, in torch; every other implementation is compared with it.

    y_0 = dropout(F)        y_k = g_k ⊙ (h_k − mean h_k) / sqrt(var h_k + eps) + b_k,   h_k = scale·x + y_{k−1}

for k = 1 … steps; y_steps is the output. One step is xSkip+LN, scale 1 is rSkip+LN. Mean and variance are over the
channels of each position (layout "btc") or over (C, H, W) of each example ("nchw"). Computed in float32, or in float64
for float64, and rounded once.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Site(NamedTuple):
    """What a site is, apart from its tensors; dropout is drawn from `seed`, an int64 tensor."""

    steps: int
    scale: float
    eps: float
    dropout: float
    seed: Tensor | None
    layout: str


def memory_format(x: Tensor, layout: str) -> torch.memory_format:
    """In which a site computes: channels-last where its maps are, else contiguous."""
    last = layout == "nchw" and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def forward(x: Tensor, f: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor], site: Site) -> tuple[Tensor, ...]:
    """(y, the sum h_1 where there is one step, else nothing, [rows, steps, 2]: mean and 1/std of every h_k)."""
    kind = torch.promote_types(x.dtype, f.dtype)
    y, statistics, kept = dropped(_wide(f), site), [], x.new_empty(0, dtype=kind)
    for k in range(site.steps):
        h = site.scale * _wide(x) + y
        if site.steps == 1:
            kept = h.to(kind)
            h = _wide(kept)
        xhat, mean, rstd = _normalise(h, site)
        y = _weigh(xhat, gains, biases, k, site)
        statistics.append(torch.stack((mean.flatten(), rstd.flatten()), -1))
    return y.to(kind), kept, torch.stack(statistics, 1)


def backward(
    gy: Tensor, x: Tensor | None, f: Tensor | None, kept: Tensor, gains: Sequence[Tensor], biases: Sequence[Tensor],
    site: Site,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of x, of F and of gains and biases, [steps, 2, channels], from x and F or from the sum kept instead."""
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
    """F ⊙ m / (1 − p), m a hash of the seed, the row and the place in it: the same mask whenever it is asked for."""
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
    """How many of 2³² hashes drop an element: p, rounded."""
    return min(round(p * 2**32), 2**32 - 1)


def _mix(counter: Tensor, key0: Tensor, key1: Tensor) -> Tensor:
    """32 bits in int64 tensors: xor with the keys, multiply, shift, until every bit depends on every bit."""
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
