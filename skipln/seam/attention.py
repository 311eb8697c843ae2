"""The seam between a Transformer and its attention: every attention is an `Attention`."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

from skipln.ops import Linear


class State(Protocol):
    """What an attention keeps between calls: of a memory that is read again and again, or of the positions so far."""

    def select(self, rows: Tensor) -> None:
        """Keep, repeat or reorder the state's rows: row i becomes the old row rows[i], int64."""

    def join(self, other: Any) -> None:
        """Append the rows of another state of the same attention, which has taken a step and is not used again."""


class Attention(nn.Module):
    """Multi-head attention of queries [batch, time, dim] to a memory [batch, memory time, dim].

    dropout: the probability of dropping an attention weight. mask: bool [batch, memory time], True where the memory is
    not padding. draws: the names of buffers that are drawn at random, unlike weights. Another attention's weights lack
    them, so they keep what was drawn when a run starts from such weights.
    Raises ValueError if `heads` does not divide `dim`.
    """

    draws: tuple[str, ...] = ()

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not divisible by {heads} heads")
        self.dim, self.heads, self.dropout = dim, heads, dropout

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Return [batch, time, dim], the shape of queries. If `causal`, each sees the memory up to its own position."""
        raise NotImplementedError

    def remember(self, memory: Tensor, mask: Tensor | None) -> State:
        """Return all that queries need of `memory`; a row of the state is a row of the batch."""
        raise NotImplementedError

    def begin(self, rows: int, steps: int) -> State:
        """Return the state of `rows` rows before their first position; there may be at most `steps` positions."""
        raise NotImplementedError

    def step(self, queries: Tensor, state: State) -> Tensor:
        """Return the attention of queries to `state`, with the shapes of `forward`.

        If `remember` made the state, several adjacent rows of queries may read each row of it. If `begin` made it,
        queries [rows, 1, dim] are the next position, which is added to the state and sees itself.
        """
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Initialise what a net's own initialisation, Xavier for every matrix, gets wrong in this attention."""

    def weights(self) -> dict[str, Tensor]:
        """See `skipln.seam.connection.BranchModule`."""
        raise NotImplementedError

    def before_output(self, make: Callable[[int], nn.Module]) -> None:
        """See `skipln.seam.connection.BranchModule`."""
        raise NotImplementedError


class ProjectedAttention(Attention):
    """Attention with projections of queries, keys and values into heads, and one projection after the heads."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__(dim, heads, dropout)
        self.query = Linear(dim, dim)
        self.key_value = Linear(dim, 2 * dim)
        self.inner: nn.Module = nn.Identity()
        self.out = Linear(dim, dim)

    def reset_parameters(self) -> None:
        for projection in self.key_value.weight.chunk(2):  # two projections in one matrix, each with its own fan
            nn.init.xavier_uniform_(projection)

    def weights(self) -> dict[str, Tensor]:
        key, value = self.key_value.weight.detach().chunk(2)
        return {"query": self.query.weight.detach(), "key": key, "value": value, "out": self.out.weight.detach()}

    def before_output(self, make: Callable[[int], nn.Module]) -> None:
        self.inner = make(self.out.in_features)

    def queries(self, x: Tensor) -> Tensor:
        """Project x [batch, time, dim] to queries [batch, heads, time, dim / heads]."""
        return self._split(self.query(x))

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Project `memory` to keys and values, each [batch, heads, time, dim / heads]."""
        keys, values = self.key_value(memory).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def project(self, heads: Tensor) -> Tensor:
        """Project the heads' outputs [batch, heads, time, dim / heads] to [batch, time, dim]."""
        return self.out(self.inner(heads.transpose(1, 2).flatten(2)))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


# How a Transformer gets its attentions: (dim, heads, dropout) -> attention.
MakeAttention = Callable[[int, int, float], Any]
