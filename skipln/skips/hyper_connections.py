"""Hyper-Connections, the static form: several streams, read, mixed and written by learned weights (Zhu et al. 2024)."""

import torch
from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register

Stream = tuple[Tensor, ...]


@register("hyper_connections")
class HyperConnections(Connection):
    """h = Σ_i a_i H_i; H_j ← Σ_i R_ij H_i + b_j F(LN h). n copies of x at the entry; LN of their sum behind the stack.

    streams: n. At the start a picks stream k mod n of site k, R is the identity and b is 1: with n = 1 that is pre-LN,
    and with any n too, as all streams are alike (but for the last LN's eps). Deviation: the dynamic part is left out.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, streams: int = 4) -> None:
        super().__init__(dim, layout=layout, place=place)
        if streams < 1:
            raise ValueError(f"hyper_connections: streams is an integer greater than 0, not {streams}")
        self.reading = nn.Parameter(torch.eye(streams)[place.index % streams])
        self.mixing = nn.Parameter(torch.eye(streams))
        self.writing = nn.Parameter(torch.ones(streams))
        self.norm = layer_norm(dim, layout)
        self.last_norm = layer_norm(dim, layout) if place.last else nn.Identity()

    def enter(self, x: Tensor) -> Stream:
        return (x,) * len(self.writing)

    def forward(self, stream: Stream, branch: Branch, mask: Tensor | None = None) -> Stream:
        f = branch(self.norm(_sum(self.reading, stream)))
        return tuple(_sum(mixed, stream) + b * f for mixed, b in zip(self.mixing.unbind(1), self.writing, strict=True))

    def leave(self, stream: Stream) -> Tensor:
        return self.last_norm(sum(stream[1:], stream[0]))


def _sum(weights: Tensor, stream: Stream) -> Tensor:
    first, *others = (weight * part for weight, part in zip(weights, stream, strict=True))
    return sum(others, first)
