"""AttnRes: every branch reads a mean of all earlier outputs, weighted by attention (arXiv 2603.15031)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register

Stream = tuple[Tensor, ...]


@register("attn_res", blocks=0)
@register("attn_res_block")
class AttnRes(Connection):
    """h = Σ_i softmax_i(w·RMSNorm(v_i)) v_i, where v_0 = x, the other v_i are the outputs so far, and the site's own
    output is F(LN h). After the stack comes the LN of one more such mean.

    blocks: at most how many blocks the sites are divided into, of equal length but for the last; v_i is then the sum of
    a block's outputs so far. `attn_res` keeps every output.
    w = 0 at the start gives a uniform mean, which is not pre-LN. RMSNorm has no gain, since w would absorb it.
    Identity: `attn_res` is `attn_res_block` with as many blocks as sites.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place, blocks: int = 8) -> None:
        super().__init__(dim, layout=layout, place=place)
        if blocks < 0:
            raise ValueError(f"attn_res_block: blocks is an integer of at least 0 (0: each site is one), not {blocks}")
        self.begins = place.index % math.ceil(place.sites / (blocks or place.sites)) == 0
        self.query = None if place.first else nn.Parameter(torch.zeros(dim))  # a mean of x alone is x
        self.norm = layer_norm(dim, layout)
        if place.last:
            self.last_query = nn.Parameter(torch.zeros(dim))
            self.last_norm = layer_norm(dim, layout)

    def enter(self, x: Tensor) -> Stream:
        return (x,)

    def forward(self, stream: Stream, branch: Branch, mask: Tensor | None = None) -> Stream:
        f = branch(self.norm(stream[0] if self.query is None else self._mean(self.query, stream)))
        return (*stream, f) if self.begins else (*stream[:-1], stream[-1] + f)

    def leave(self, stream: Stream) -> Tensor:
        return self.last_norm(self._mean(self.last_query, stream))

    def _mean(self, query: Tensor, stream: Stream) -> Tensor:
        dims = (len(query),)
        scores = [F.rms_norm(v.movedim(self.channels, -1), dims, eps=1e-6) @ query for v in stream]
        weights = torch.stack(scores).softmax(0).unsqueeze(self.channels)
        return sum((w * v for w, v in zip(weights[1:], stream[1:], strict=True)), weights[0] * stream[0])
