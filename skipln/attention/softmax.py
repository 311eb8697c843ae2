"""Multi-head attention with a softmax (Vaswani et al. 2017, section 3.2)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.attention import register
from skipln.ops import attention, beam_attention
from skipln.seam.attention import ProjectedAttention

GROWTH = 3  # a full store is replaced by one of this many times what is needed
SPARE = 16  # positions by which lists of entries grow


class Kept:
    """Keys and values in a store where they stay while rows are reordered, and the entries of it that each row sees.

    Row r sees cache[entries[r, :lengths[r]]]. cache: [room, 2·dim], keys then values. entries: int64 [rows, the longest
    or more]. lengths: int64 [rows].
    """

    cache: Tensor

    def __init__(self, rows: int, longest: int, device: torch.device) -> None:
        self.room = self.used = 0  # entries of the store, and how many of them were ever put there
        self.entries = torch.zeros(rows, longest, dtype=torch.int64, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.int64, device=device)

    def add(self, projected: Tensor) -> int:
        """Put keys and values [number, 2·dim] into the store; return the first of their entries, which no row sees yet.

        The first ones become the store itself, so their memory must not be used for anything else.
        """
        if not self.room:
            self.cache, self.room, self.used = projected, len(projected), len(projected)
            return 0
        if self.used + len(projected) > self.room:
            self._renew(len(projected))
        start, self.used = self.used, self.used + len(projected)
        self.cache[start : self.used] = projected
        return start

    def seen(self) -> Tensor:
        """bool, of the shape of `entries`: which of them count."""
        return torch.arange(self.entries.size(1), device=self.lengths.device) < self.lengths.unsqueeze(1)

    def select(self, rows: Tensor) -> None:
        self.entries, self.lengths = self.entries.index_select(0, rows), self.lengths.index_select(0, rows)

    def join(self, other: "Kept") -> None:
        start = self.add(other.cache[: other.used])  # which may renew the entries
        parts = (self.entries, other.entries + start)
        longest = max(part.size(1) for part in parts)
        self.entries = torch.cat([F.pad(part, (0, longest - part.size(1))) for part in parts])
        self.lengths = torch.cat((self.lengths, other.lengths))

    def _renew(self, more: int) -> None:
        """Make a store with room for `more` entries and others, and move there what some row still sees."""
        seen, old = self.seen(), self.cache
        needed = torch.zeros(self.used, dtype=torch.bool, device=old.device)
        needed[self.entries[seen]] = True
        kept = needed.nonzero().squeeze(1)
        self.used = len(kept)
        self.room = GROWTH * (self.used + more)
        self.cache = old.new_empty(self.room, old.size(-1))
        if torch.is_grad_enabled() and old.requires_grad:  # torch differentiates no result that is written to `out`
            self.cache[: self.used] = old.index_select(0, kept)
        else:
            torch.index_select(old, 0, kept, out=self.cache[: self.used])
        places = needed.cumsum(0) - 1
        self.entries = self.entries.masked_scatter(seen, places[self.entries[seen]])


class Past(Kept):
    """Keys and values of the positions so far; what hypotheses have in common is kept once."""

    def append(self, projected: Tensor) -> None:
        """Keep the next position of every row, [rows, 2·dim]."""
        longest = int(self.lengths.max()) if len(self.lengths) else 0
        if not longest < self.entries.size(1) <= longest + 2 * SPARE:
            self.entries = F.pad(self.entries[:, :longest], (0, SPARE))
        start = self.add(projected)  # which may renew the entries
        newest = torch.arange(start, self.used, device=projected.device)
        self.entries.scatter_(1, self.lengths.unsqueeze(1), newest.unsqueeze(1))
        self.lengths += 1


@register("softmax")
class SoftmaxAttention(ProjectedAttention):
    """softmax(Q Kᵀ / √d_head) V over `heads` heads of the projections of queries and memory, projected back."""

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        keys, values = self.keys_values(memory)
        return self._ask(queries, keys, values, None if mask is None else mask[:, None, None, :], causal)

    def remember(self, memory: Tensor, mask: Tensor | None) -> Kept:
        projected = self.key_value(memory)
        rows, time = projected.shape[:2]
        state = Kept(rows, time, projected.device)
        real = projected.flatten(0, 1) if mask is None else projected[mask]
        state.add(real)
        state.lengths += time if mask is None else mask.sum(1)
        entries = torch.arange(len(real), device=real.device)
        state.entries = state.entries.masked_scatter(state.seen(), entries)
        return state

    def begin(self, rows: int, steps: int) -> Past:
        return Past(rows, SPARE, self.key_value.weight.device)

    def step(self, queries: Tensor, state: Any) -> Tensor:
        rows = queries.flatten(0, -2)
        if isinstance(state, Past):
            state.append(self.key_value(rows))
        heads = beam_attention(self.query(rows), state.cache, state.entries, state.lengths, self.heads)
        return self.out(self.inner(heads.view(queries.shape)))

    def _ask(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return self.project(attention(self.queries(queries), keys, values, mask, dropout, causal))
