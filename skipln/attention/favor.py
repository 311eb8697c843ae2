"""FAVOR+: softmax attention in linear time by positive orthogonal random features (Choromanski et al. 2021)."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.attention import register
from skipln.seam.attention import ProjectedAttention

CHUNK = 128  # positions that the causal form computes at once; autograd keeps one state per chunk
HIDDEN = -1e30  # the peak of masked keys: finite, so that the difference of two is not NaN


class Keys(NamedTuple):
    """Keys and values, for d channels per head and m features.

    exponents [rows, heads, time, m]: Wk' − ‖k'‖²/2. peaks [rows, heads, time, 1]: the largest of Wk', without gradient.
    values [rows, heads, time, d + 1]: v followed by a 1, so that one product gives both sums of the quotient.
    """

    exponents: Tensor
    peaks: Tensor
    values: Tensor

    def chunks(self) -> list["Keys"]:
        return [Keys(*parts) for parts in zip(*(part.split(CHUNK, dim=2) for part in self), strict=True)]


class Sums(NamedTuple):
    """All that queries need from any number of keys.

    peak [rows, heads, 1, 1]: the largest of the keys' peaks. weighted [rows, heads, m, d + 1]: Σ exp(exponents − peak)
    ⊗ values. plain [rows, heads, 1, d + 1]: Σ values, which eps multiplies.
    """

    peak: Tensor
    weighted: Tensor
    plain: Tensor


class Memory:
    """The sums over a memory; in `Past` those over the positions so far, None before the first."""

    def __init__(self, sums: Sums | None) -> None:
        self.sums = sums

    def select(self, rows: Tensor) -> None:
        if self.sums is not None:
            self.sums = Sums(*(part.index_select(0, rows) for part in self.sums))

    def join(self, other: "Memory") -> None:
        assert self.sums is not None and other.sums is not None
        self.sums = Sums(*map(torch.cat, zip(self.sums, other.sums, strict=True)))


class Past(Memory):
    """The state that `FavorAttention.begin` makes."""


@register("favor")
class FavorAttention(ProjectedAttention):
    """φ(q)·Σ φ(k)vᵀ / φ(q)·Σ φ(k) with φ(x) = exp(Wx' − ‖x'‖²/2 − max) + eps, x' = x·d^(−¼), d the channels of a head.

    Up to eps and the maxima, E φ(q)·φ(k) / m = exp(q·k / √d). The maximum of Wx' is taken over the features of a query,
    and over the features and positions of the keys that a query sees; it gets no gradient. W has m rows, orthogonal in
    blocks of d, with the lengths of Gaussian vectors, and is the same for every head. Time and memory grow with
    length·m. All but the projections is computed in float32 or float64.
    features: m; 0 means ⌊d·ln d⌋. redraw: the number of updates from one W to the next; 0 means never. eps: 1e-6 and
    1e-4 in google-research's two forms. dropout: a key is dropped for all queries at once, as no matrix holds the
    weights. `remember`, and `forward` that is not causal, raise ValueError for a mask that hides every key of a row.
    """

    draws = ("drawn",)
    drawn: Tensor
    projection: Tensor

    def __init__(
        self, dim: int, heads: int, dropout: float = 0.0, *, features: int = 256, redraw: int = 1000, eps: float = 1e-6
    ) -> None:
        super().__init__(dim, heads, dropout)
        self.depth, self.redraw, self.eps, self.updates = dim // heads, redraw, eps, 0
        # W follows from the seed and the number of updates. They are integers, which checkpoint averaging leaves alone.
        self.register_buffer("drawn", torch.tensor([int(torch.randint(2**62, (), device="cpu")), 0]))
        count = features or max(1, int(self.depth * math.log(self.depth)))
        self.register_buffer("projection", torch.empty(count, self.depth), persistent=False)
        self.register_load_state_dict_post_hook(lambda module, _: module.draw())
        self.draw()

    def draw(self) -> None:
        """Draw the W that follows from `drawn`."""
        seed, self.updates = self.drawn.tolist()
        number = self.updates // self.redraw if self.redraw else 0
        generator = torch.Generator().manual_seed(seed + number)
        self.projection.copy_(orthogonal_features(len(self.projection), self.depth, generator))

    def after_step(self) -> None:
        self.updates += 1
        self.drawn[1] = self.updates
        if self.redraw and self.updates % self.redraw == 0:
            self.draw()

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        if not causal:
            return self.step(queries, self.remember(memory, mask))
        features, keys = self._features(queries), self._keys(memory, mask)
        with torch.autocast(queries.device.type, enabled=False):
            heads: list[Tensor] = []
            before = last = None
            # Split, since the gradient of a slice is as long as the whole, while that of a split joins its parts'.
            for asked, chunk in zip(features.split(CHUNK, dim=2), keys.chunks(), strict=True):
                before = add(before, last) if last else None
                heads.append(ask_causally(asked, chunk, before, self.eps))
                last = chunk
        return self.project(torch.cat(heads, dim=2).to(queries.dtype))

    def remember(self, memory: Tensor, mask: Tensor | None) -> Memory:
        if mask is not None and not torch.compiler.is_compiling() and not (seen := mask.any(-1)).all():
            row = int(seen.int().argmin())
            raise ValueError(f"favor: the mask hides every key of row {row}; each row needs one that it does not hide")
        return self._extended(Memory(None), memory, mask)

    def begin(self, rows: int, steps: int) -> Past:
        return Past(None)

    def step(self, queries: Tensor, state: Any) -> Tensor:
        if isinstance(state, Past):
            self._extended(state, queries)
        together = queries.reshape(len(state.sums.peak), -1, queries.size(-1))  # all rows of a sentence at once
        features = self._features(together)
        with torch.autocast(queries.device.type, enabled=False):
            heads = quotient(plus_eps(features, state.sums.weighted + self.eps * state.sums.plain, self.eps))
        return self.project(heads.to(queries.dtype)).view_as(queries)

    def _extended(self, state: Memory, memory: Tensor, mask: Tensor | None = None) -> Memory:
        keys = self._keys(memory, mask)
        with torch.autocast(memory.device.type, enabled=False):
            state.sums = add(state.sums, keys)
        return state

    def _features(self, x: Tensor) -> Tensor:
        """Return φ(q) − eps for the queries, [batch, heads, time, m]."""
        exponents, peaks = self._exponents(self.queries(x))
        return (exponents - peaks).exp()

    def _keys(self, memory: Tensor, mask: Tensor | None) -> Keys:
        keys, values = self.keys_values(memory)
        exponents, peaks = self._exponents(keys)
        values = values.to(exponents.dtype)
        ones = torch.ones_like(values[..., :1])
        if self.training and self.dropout:
            values = values * F.dropout(ones, self.dropout)
        values = torch.cat((values, ones), dim=-1)
        if mask is not None:
            hidden = ~mask[:, None, :, None]
            exponents, peaks = exponents.masked_fill(hidden, -torch.inf), peaks.masked_fill(hidden, HIDDEN)
            values = values.masked_fill(hidden, 0.0)
        return Keys(exponents, peaks, values)

    def _exponents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return Wx' − ‖x'‖²/2, and the largest of Wx' without gradient, for x [batch, heads, time, d]."""
        with torch.autocast(x.device.type, enabled=False):
            scaled = x.to(torch.promote_types(x.dtype, torch.float32)) * self.depth**-0.25
            products = scaled @ self.projection.to(scaled.dtype).T
            return products - scaled.square().sum(-1, keepdim=True) / 2, products.detach().amax(-1, keepdim=True)


def add(before: Sums | None, keys: Keys) -> Sums:
    """Return the sums with more keys added."""
    peak = keys.peaks.amax(2, keepdim=True)
    if before is not None:
        peak = torch.maximum(peak, before.peak)
    weighted = (keys.exponents - peak).exp().transpose(-1, -2) @ keys.values
    plain = keys.values.sum(2, keepdim=True)
    if before is None:
        return Sums(peak, weighted, plain)
    return Sums(peak, (before.peak - peak).exp() * before.weighted + weighted, before.plain + plain)


def ask_causally(features: Tensor, keys: Keys, before: Sums | None, eps: float) -> Tensor:
    """Return the attention of some positions, whose φ(q) − eps is [rows, heads, time, m], to `before` and their keys.

    Every maximum is over what a query sees, so a later key changes no bit of its exponents. To this end each key is
    first scaled by its own peak, and then by the difference from the query's, which is never positive.
    """
    peaks = keys.peaks.squeeze(-1)
    running = peaks.cummax(-1).values.unsqueeze(-1)
    if before is not None:
        running = torch.maximum(running, before.peak)
    later = torch.ones(peaks.size(-1), peaks.size(-1), dtype=torch.bool, device=peaks.device).triu(1)
    scale = (peaks.unsqueeze(-2) - running).masked_fill(later, -torch.inf).exp()
    plain = eps * (features.sum(-1, keepdim=True) + eps * features.size(-1))
    own = (keys.exponents - keys.peaks).exp().transpose(-1, -2)
    sums = (plus_eps(features, own, eps) * scale + plain.masked_fill(later, 0.0)) @ keys.values
    if before is not None:
        sums = sums + (before.peak - running).exp() * plus_eps(features, before.weighted, eps) + plain * before.plain
    return quotient(sums)


def plus_eps(features: Tensor, matrix: Tensor, eps: float) -> Tensor:
    """Return (features + eps) @ matrix without storing the sum, which would be as large as anything here."""
    return features @ matrix + eps * matrix.sum(-2, keepdim=True)


def quotient(sums: Tensor) -> Tensor:
    """Return the first d of d + 1 numbers divided by the last; 0 where no key was seen."""
    return sums[..., :-1] / sums[..., -1:].clamp(min=torch.finfo(sums.dtype).tiny)


def orthogonal_features(count: int, depth: int, generator: torch.Generator) -> Tensor:
    """Return rows [count, depth], orthogonal in blocks of `depth`, each distributed like a Gaussian vector."""
    blocks = -(-count // depth)
    gaussian = torch.randn(blocks, depth, depth, dtype=torch.float64, generator=generator)
    directions, triangles = torch.linalg.qr(gaussian)
    # These signs make the factorisation unique, so directions are uniform whatever library computes it.
    directions = directions * triangles.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    lengths = torch.randn(count, depth, dtype=torch.float64, generator=generator).norm(dim=1, keepdim=True)
    return (directions.transpose(-1, -2).reshape(-1, depth)[:count] * lengths).float()
