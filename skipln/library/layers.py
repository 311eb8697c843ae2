"""torch's Transformer layers with open residual sites: the same parts under the same names, but other sums."""

from typing import Any

from torch import Tensor, nn

from skipln.seam.connection import Branch, Connection


class ConvertedLayer(nn.Module):
    """What both kinds of layer have in common: their parts, and sites instead of `x + F(x)`.

    With norm_first, F is what torch computes from norm(x); otherwise the norms have moved into the sites.
    """

    def __init__(self, layer: Any, sites: list[Connection], norms: tuple[str, ...]) -> None:
        super().__init__()
        self.norm_first = layer.norm_first
        self.activation = layer.activation
        for name, part in layer.named_children():
            if name not in norms:
                setattr(self, name, part)
        for name in norms:
            setattr(self, name, getattr(layer, name) if layer.norm_first else nn.Identity())
        self.sites = nn.ModuleList(sites)

    def _join(self, number: int, x: Tensor, branch: Branch, real: Tensor | None) -> Tensor:
        site: Any = self.sites[number]
        y = site(x, branch, real)
        return site.leave(y) if site.place.last else y

    def _feed_forward(self, x: Tensor, dropout: nn.Module) -> Tensor:
        parts: Any = self
        return dropout(parts.linear2(parts.dropout(parts.activation(parts.linear1(x)))))

    def _real(self, padding: Tensor | None) -> Tensor | None:
        """Return a mask of the positions that are not padding, in the layout of x, for norms over the batch."""
        if padding is None:
            return None
        real = padding.logical_not() if not padding.is_floating_point() else padding == 0
        parts: Any = self
        return real if parts.self_attn.batch_first or real.dim() == 1 else real.T


class ConvertedEncoderLayer(ConvertedLayer):
    """A torch.nn.TransformerEncoderLayer with open residual sites, called like the original."""

    def __init__(self, layer: nn.TransformerEncoderLayer, sites: list[Connection]) -> None:
        super().__init__(layer, sites, ("norm1", "norm2"))

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        parts: Any = self

        def attend(h: Tensor) -> Tensor:
            h = parts.norm1(h)
            masks = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask}
            return parts.dropout1(parts.self_attn(h, h, h, **masks, need_weights=False, is_causal=is_causal)[0])

        def feed_forward(h: Tensor) -> Tensor:
            return self._feed_forward(parts.norm2(h), parts.dropout2)

        real = self._real(src_key_padding_mask)
        return self._join(1, self._join(0, src, attend, real), feed_forward, real)


class ConvertedDecoderLayer(ConvertedLayer):
    """A torch.nn.TransformerDecoderLayer with open residual sites, called like the original."""

    def __init__(self, layer: nn.TransformerDecoderLayer, sites: list[Connection]) -> None:
        super().__init__(layer, sites, ("norm1", "norm2", "norm3"))

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        parts: Any = self

        def attend(h: Tensor) -> Tensor:
            h = parts.norm1(h)
            masks = {"attn_mask": tgt_mask, "key_padding_mask": tgt_key_padding_mask}
            return parts.dropout1(parts.self_attn(h, h, h, **masks, need_weights=False, is_causal=tgt_is_causal)[0])

        def attend_source(h: Tensor) -> Tensor:
            masks = {"attn_mask": memory_mask, "key_padding_mask": memory_key_padding_mask}
            options = {**masks, "need_weights": False, "is_causal": memory_is_causal}
            return parts.dropout2(parts.multihead_attn(parts.norm2(h), memory, memory, **options)[0])

        def feed_forward(h: Tensor) -> Tensor:
            return self._feed_forward(parts.norm3(h), parts.dropout3)

        real = self._real(tgt_key_padding_mask)
        x = self._join(1, self._join(0, tgt, attend, real), attend_source, real)
        return self._join(2, x, feed_forward, real)
