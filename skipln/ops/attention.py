"""Attention (Vaswani et al. 2017, section 3.2.1) over short sentences by plain products, which a CPU does faster."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Keys up to which they are faster than torch's own: `make bench BENCH="attention-14 attention-128 attention-27-fp32"`.
SHORT = {torch.bfloat16: 128, torch.float32: 16, torch.float64: 64}  # float64: torch's own has no second gradient


def attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """softmax(Q Kᵀ / √d) V as `F.scaled_dot_product_attention` has it; all [batch, heads, time, d].

    mask: bool, broadcastable to [batch, heads, query time, key time], True where attention may look; not with `causal`,
    where a query sees the keys up to its own place. dropout: of the weights, the probability.
    """
    if queries.device.type != "cpu" or keys.size(-2) > SHORT.get(queries.dtype, 0) or queries.size(-2) == 1:
        return F.scaled_dot_product_attention(queries, keys, values, mask, dropout, causal)
    return plain_attention(queries, keys, values, mask, dropout, causal)


def plain_attention(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, dropout: float, causal: bool
) -> Tensor:
    """The formula, operation by operation; scores and their softmax in at least float32."""
    kind = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        scores = (queries.to(kind) / math.sqrt(queries.size(-1))) @ keys.to(kind).transpose(-1, -2)
        if causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(-1).to(values.dtype)
        return F.dropout(weights, dropout, dropout > 0) @ values
