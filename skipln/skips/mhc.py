"""mHC and iHC: Hyper-Connections with bounded weights of each position (arXiv 2512.24880; arXiv 2607.28611)."""

import math

import torch
from torch import Tensor

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register
from skipln.skips.streams import Bounded, Stream, sinkhorn, weighted

EPS, STEPS = 1e-6, 20  # of Sinkhorn


@register("mhc", mixes=True)
@register("ihc", mixes=False)
class MHC(Connection):
    """h = Σ_i p_i H_i; H_j ← Σ_i M_ij H_i + q_j F(LN h); n copies of x at the entry, LN Σ_i r_i H_i behind the stack.

    p = σ(…) + ε, q = 2σ(…), r = σ(…), M = softmax_rows(…) + ε made doubly stochastic, 1 in `ihc`; … as in `Bounded`.
    At the start b is −ln(n − 1) of p and r, 0 of q, and 8·1 of M, which is our choice, so that M is nearly 1.
    streams: n > 1. Identity: pre-LN with φ = 0, as all streams are alike (but for ε).
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
