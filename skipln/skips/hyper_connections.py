"""Hyper-Connections: learned weights read, mix and write several streams (Zhu et al. 2024)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register
from skipln.skips.streams import Stream, weighted


@register("hyper_connections")
class HyperConnections(Connection):
    """h = Σ_i a_i H_i; H_j ← Σ_i R_ij H_i + b_j F(LN h). The n streams enter as copies of x and leave as the LN
    of their sum.

    streams: n. The weights start with a picking stream k mod n at site k, R the identity and b = 1. Identity: pre-LN at
    the start, with n = 1 exactly and with any n but for the last LN's eps, since all streams are equal.
    dynamic: at each position (a_i, R_i·, b_i) += s·tanh(W LN H_i), where LN has no gain or bias. W starts at 0, s at
    0.01; a and R share one s, b has another.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, streams: int = 4, dynamic: bool = False) -> None:
        super().__init__(dim, layout=layout, place=place)
        if streams < 1:
            raise ValueError(f"hyper_connections: streams is an integer greater than 0, not {streams}")
        self.reading = nn.Parameter(torch.eye(streams)[place.index % streams])
        self.mixing = nn.Parameter(torch.eye(streams))
        self.writing = nn.Parameter(torch.ones(streams))
        self.moving = nn.Parameter(torch.zeros(streams + 2, dim)) if dynamic else None
        self.scales = nn.Parameter(torch.full((2,), 0.01)) if dynamic else None
        self.norm = layer_norm(dim, layout)
        self.last_norm = layer_norm(dim, layout) if place.last else nn.Identity()

    def enter(self, x: Tensor) -> Stream:
        return (x,) * len(self.writing)

    def weights(self, stream: Stream) -> tuple[Tensor, Tensor, Tensor]:
        """Return a [n], R [n, n], b [n]; if they depend on the position, dimensions follow that multiply a stream."""
        static = self.reading, self.mixing, self.writing
        if self.moving is None or self.scales is None:
            return static
        normed = torch.stack([F.layer_norm(h.movedim(self.channels, -1), (self.dim,)) for h in stream])
        moved = torch.tanh(normed @ self.moving.T).movedim(-1, 1).unsqueeze(self.channels)
        a, r, b = (weight.view(*weight.shape, *[1] * stream[0].dim()) for weight in static)
        return a + self.scales[0] * moved[:, 0], r + self.scales[0] * moved[:, 1:-1], b + self.scales[1] * moved[:, -1]

    def forward(self, stream: Stream, branch: Branch, mask: Tensor | None = None) -> Stream:
        reading, mixing, writing = self.weights(stream)
        f = branch(self.norm(weighted(reading, stream)))
        return tuple(weighted(mixed, stream) + b * f for mixed, b in zip(mixing.unbind(1), writing, strict=True))

    def leave(self, stream: Stream) -> Tensor:
        return self.last_norm(sum(stream[1:], stream[0]))
