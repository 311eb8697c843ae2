"""Multi-head attention with a softmax (Vaswani et al. 2017, section 3.2)."""

from typing import Any

import torch
from torch import Tensor

from skipln.attention import register
from skipln.ops import attention, beam_attention
from skipln.seam.attention import ProjectedAttention


class Memory:
    """Keys and values [rows, heads, time, dim / heads] of a memory, and its mask [rows, 1, 1, time]."""

    def __init__(self, keys: Tensor, values: Tensor, mask: Tensor | None) -> None:
        self.keys, self.values, self.mask = keys, values, mask

    def select(self, rows: Tensor) -> None:
        self.keys, self.values = self.keys.index_select(0, rows), self.values.index_select(0, rows)
        self.mask = None if self.mask is None else self.mask[rows]


class Past:
    """Keys and values of the positions so far, time first, [steps, slots, 2·dim]: a step's rows fill the first slots.

    They stay where they are when rows are selected. ancestors: int64 [steps, rows], the slot of a step that a row
    continues.
    """

    def __init__(self, steps: int) -> None:
        self.steps, self.step = steps, 0
        self.kept: Tensor | None = None
        self.ancestors: Tensor | None = None

    def append(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the next step's keys and values [rows, 2·dim]; returns all so far and the rows' ancestors."""
        rows, step = len(projected), self.step
        if self.kept is None or rows > self.kept.size(1):  # when sentences branch, from one row to a beam of them
            grown = projected.new_empty(self.steps, rows, projected.size(-1))
            if self.kept is not None:
                grown[:step, : self.kept.size(1)] = self.kept[:step]
            self.kept = grown
        self.kept[step, :rows] = projected
        newest = torch.arange(rows, device=projected.device).unsqueeze(0)
        self.ancestors = newest if self.ancestors is None else torch.cat((self.ancestors, newest))
        self.step += 1
        return self.kept[: step + 1], self.ancestors

    def select(self, rows: Tensor) -> None:
        if self.ancestors is not None:
            self.ancestors = self.ancestors[:, rows]


@register("softmax")
class SoftmaxAttention(ProjectedAttention):
    """softmax(Q Kᵀ / √d_head) V over `heads` heads of the projections of queries and memory, projected back."""

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        keys, values = self.keys_values(memory)
        return self._ask(queries, keys, values, None if mask is None else mask[:, None, None, :], causal)

    def remember(self, memory: Tensor, mask: Tensor | None) -> Memory:
        keys, values = self.keys_values(memory)
        if not self.training:  # else products would copy them at each step
            keys, values = keys.contiguous(), values.contiguous()
        return Memory(keys, values, None if mask is None else mask[:, None, None, :])

    def begin(self, rows: int, steps: int) -> Past:
        return Past(steps)

    def step(self, queries: Tensor, state: Any) -> Tensor:
        if isinstance(state, Past):
            cache, ancestors = state.append(self.key_value(queries)[:, 0])
            heads = beam_attention(self.query(queries[:, 0]), cache, ancestors, self.heads)
            return self.out(self.inner(heads.unsqueeze(1)))
        together = queries.reshape(len(state.keys), -1, queries.size(-1))  # all rows of a sentence ask at once
        return self._ask(together, state.keys, state.values, state.mask).view_as(queries)

    def _ask(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return self.project(attention(self.queries(queries), keys, values, mask, dropout, causal))
