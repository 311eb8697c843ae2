"""mHC and iHC: Hyper-Connections with bounded weights for each position (arXiv 2512.24880; arXiv 2607.28611)."""

import math

import torch
from torch import Tensor

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register
from skipln.skips.streams import Bounded, Stream, sinkhorn, weighted

EPS, STEPS = 1e-6, 20  # of Sinkhorn's algorithm


@register("mhc", mixes=True)
@register("ihc", mixes=False)
class MHC(Connection):
    """h = Σ_i p_i H_i; H_j ← Σ_i M_ij H_i + q_j F(LN h). The n streams enter as copies of x and leave as
    LN Σ_i r_i H_i.

    p = σ(…) + ε, q = 2σ(…), r = σ(…), and M = softmax_rows(…) + ε, made doubly stochastic, or the identity in `ihc`.
    Each … is a `Bounded` function of the streams; its b starts at −ln(n − 1) for p and r, at 0 for q, and (our choice)
    at 8 times the identity for M, which is then nearly the identity.
    streams: n > 1. Identity: pre-LN if φ = 0 (but for ε), since all streams are equal.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, mixes: bool, streams: int = 4) -> None:
        super().__init__(dim, layout=layout, place=place)
        if streams < 2:
            raise ValueError(f"{'mhc' if mixes else 'ihc'}: streams is an integer greater than 1, not {streams}")
        self.streams, even = streams, torch.full((streams,), -math.log(streams - 1))
        mixing = [8 * torch.eye(streams)] if mixes else []
        self.weights = Bounded(dim, self.channels, even, torch.zeros(streams), *mixing)
        self.norm = layer_norm(dim, layout)
        if place.last:
            self.last, self.last_norm = Bounded(dim, self.channels, even.clone()), layer_norm(dim, layout)

    def enter(self, x: Tensor) -> Stream:
        return (x,) * self.streams

    def forward(self, stream: Stream, branch: Branch, mask: Tensor | None = None) -> Stream:
        reading, writing, *mixing = self.weights(stream)
        f = branch(self.norm(weighted(reading.sigmoid() + EPS, stream)))
        if mixing:
            stream = tuple(weighted(column, stream) for column in sinkhorn(mixing[0], STEPS, EPS).unbind(1))
        return tuple(h + q * f for h, q in zip(stream, 2 * writing.sigmoid(), strict=True))

    def leave(self, stream: Stream) -> Tensor:
        (reading,) = self.last(stream)
        return self.last_norm(weighted(reading.sigmoid(), stream))
