"""The seam between a Transformer and its attention: every attention is an `Attention`."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

from skipln.ops import Linear


class State(Protocol):
    """What an attention keeps between calls: of a memory that is asked again and again, or of the positions so far."""

    def select(self, rows: Tensor) -> None:
        """Keep, repeat or reorder: row i becomes the old row rows[i], int64."""

    def join(self, other: Any) -> None:
        """Append the rows of another state of the same attention, which has taken a step and is not used again."""


class Attention(nn.Module):
    """Attention of `heads` heads to the projections of a memory, projected back.

    dropout: a probability, of what the attention weighs with. x below: [batch, time, dim].
    mask: bool [batch, memory time], True at the positions that are not padding.
    draws: names of its buffers that are drawn and no weights. The weights of another attention lack them, and they stay
    as they are drawn where a run starts from those.
    """

    draws: tuple[str, ...] = ()

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not divisible by {heads} heads")
        self.dim, self.heads, self.dropout = dim, heads, dropout

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """[batch, time, dim] of queries of that shape; with `causal` each sees the memory up to its own place."""
        raise NotImplementedError

    def remember(self, memory: Tensor, mask: Tensor | None) -> State:
        """What queries to `memory`, and nothing else, need of it; a row of the state is a row of the batch."""
        raise NotImplementedError

    def begin(self, rows: int, steps: int) -> State:
        """The state in front of the first of at most `steps` positions, in each of `rows` rows."""
        raise NotImplementedError

    def step(self, queries: Tensor, state: State) -> Tensor:
        """Ask `state`; shapes as of `forward`.

        Of `remember`: every row of the state may be asked by several rows of queries, side by side. Of `begin`: queries
        [rows, 1, dim] are the next position, which is kept and sees itself.
        """
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """What a net's own initialisation, Xavier for every matrix, gets wrong of this attention."""

    def weights(self) -> dict[str, Tensor]:
        """As a branch of a residual site (`skipln.seam.connection.BranchModule`)."""
        raise NotImplementedError

    def before_output(self, make: Callable[[int], nn.Module]) -> None:
        """As a branch of a residual site (`skipln.seam.connection.BranchModule`)."""
        raise NotImplementedError


class ProjectedAttention(Attention):
    """What attentions of heads share: the projections of queries, keys and values, and the one behind the heads."""

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
        """[batch, heads, time, dim / heads] of x [batch, time, dim]."""
        return self._split(self.query(x))

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Each [batch, heads, time, dim / heads]."""
        keys, values = self.key_value(memory).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def project(self, heads: Tensor) -> Tensor:
        """[batch, time, dim] of what the heads give, [batch, heads, time, dim / heads]."""
        return self.out(self.inner(heads.transpose(1, 2).flatten(2)))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


# How a Transformer gets its attentions: (dim, heads, dropout) -> attention.
MakeAttention = Callable[[int, int, float], Any]
