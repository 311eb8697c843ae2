"""Multi-head attention (Vaswani et al. 2017, section 3.2)."""

from collections.abc import Callable

from torch import Tensor, nn

from skipln.ops import attention, beam_attention


class MultiheadAttention(nn.Module):
    """softmax(Q Kᵀ / √d_head) V over `heads` heads of the projections of queries and memory, projected back.

    The projections of memory (`key_value`) and of queries are separate so that a decoder can keep the former.
    Shapes: queries [batch, time, dim]; keys and values [batch, heads, time, dim / heads].
    mask: bool, broadcastable to [batch, heads, query time, key time], True where attention may look.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not divisible by {heads} heads")
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.inner: nn.Module = nn.Identity()
        self.out = nn.Linear(dim, dim)

    def weights(self) -> dict[str, Tensor]:
        key, value = self.key_value.weight.detach().chunk(2)
        return {"query": self.query.weight.detach(), "key": key, "value": value, "out": self.out.weight.detach()}

    def before_output(self, make: Callable[[int], nn.Module]) -> None:
        self.inner = make(self.out.in_features)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = self.key_value(memory).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        heads = attention(self._split(self.query(queries)), keys, values, mask, dropout, causal)
        return self.out(self.inner(heads.transpose(1, 2).flatten(2)))

    def newest(self, queries: Tensor, cache: Tensor, ancestors: Tensor) -> Tensor:
        """Of one position a row, [rows, 1, dim], to what its ancestors left: see `beam_attention`."""
        heads = beam_attention(self.query(queries[:, 0]), cache, ancestors, self.heads)
        return self.out(self.inner(heads.unsqueeze(1)))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
