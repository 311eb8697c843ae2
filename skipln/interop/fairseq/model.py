"""fairseq's Transformer with residual sites from our registry.

Everything else is fairseq's: attention, feed-forward network, embeddings, flags and incremental decoding. Its tensors
are time-first, a site's are batch-first. Importing this module registers the model with fairseq.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from typing import Any

from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import (
    TransformerConfig,
    TransformerDecoderBase,
    TransformerEncoderBase,
    TransformerModel,
)
from fairseq.models.transformer import transformer_legacy as legacy
from fairseq.modules.transformer_layer import TransformerDecoderLayerBase, TransformerEncoderLayerBase
from torch import Tensor, nn

from skipln.interop.fairseq.flags import Fixed, add_flags, check, chosen
from skipln.models.transformer import DECODER, ENCODER
from skipln.seam.connection import Connection, MakeConnection
from skipln.seam.place import stack_of
from skipln.tasks.connections import connections_of


class Stream:
    """What a layer hands to the next: what the connection carries, and the stack's input, needed for its size."""

    def __init__(self, content: Any, entered: Tensor) -> None:
        self.content, self.entered = content, entered


class Sites(nn.ModuleList):
    """The sites of one layer; the stack's first site is entered and its last site is left."""

    def enter(self, x: Tensor | Stream) -> Stream:
        return Stream(_first(self).enter(x.transpose(0, 1)), x) if isinstance(x, Tensor) else x

    def leave(self, content: Any, stream: Stream) -> Tensor | Stream:
        last = _last(self)
        return last.leave(content).transpose(0, 1) if last.place.last else Stream(content, stream.entered)


class SkipEncoderLayer(TransformerEncoderLayerBase):
    sites: Sites

    def __init__(self, cfg: Any, return_fc: bool = False) -> None:
        super().__init__(cfg, return_fc)
        del self.self_attn_layer_norm, self.final_layer_norm  # the sites have their own norms

    def forward(self, x: Any, encoder_padding_mask: Tensor | None, attn_mask: Tensor | None = None) -> Any:
        """x is [time, batch, dim] into the first layer and out of the last, and a `Stream` between them."""
        stream = self.sites.enter(x)
        mask = None if encoder_padding_mask is None else ~encoder_padding_mask

        def attend(h: Tensor) -> Tensor:
            h = h.transpose(0, 1)
            out, _ = self.self_attn(h, h, h, encoder_padding_mask, need_weights=False, attn_mask=attn_mask)
            return self.dropout_module(out).transpose(0, 1)

        content = self.sites[0](stream.content, attend, mask)
        content = self.sites[1](content, lambda h: _feed_forward(self, h), mask)
        return self.sites.leave(content, stream)


class SkipDecoderLayer(TransformerDecoderLayerBase):
    sites: Sites

    def __init__(self, cfg: Any, no_encoder_attn: bool = False) -> None:
        super().__init__(cfg, no_encoder_attn)
        del self.self_attn_layer_norm, self.encoder_attn_layer_norm, self.final_layer_norm

    def forward(
        self,
        x: Any,
        encoder_out: Tensor | None = None,
        encoder_padding_mask: Tensor | None = None,
        incremental_state: Any = None,
        prev_self_attn_state: Any = None,
        prev_attn_state: Any = None,
        self_attn_mask: Tensor | None = None,
        self_attn_padding_mask: Tensor | None = None,
        need_attn: bool = False,
        need_head_weights: bool = False,
    ) -> tuple[Any, Tensor | None, None]:
        """Like the encoder layer's; also returns the attention to the source, which fairseq's aligners want."""
        stream = self.sites.enter(x)
        mask = None if self_attn_padding_mask is None else ~self_attn_padding_mask
        attention = None

        def attend(h: Tensor) -> Tensor:
            h = h.transpose(0, 1)
            out, _ = self.self_attn(
                h, h, h, self_attn_padding_mask, incremental_state, need_weights=False, attn_mask=self_attn_mask
            )
            return self.dropout_module(out).transpose(0, 1)

        def attend_source(h: Tensor) -> Tensor:
            nonlocal attention
            out, attention = self.encoder_attn(
                h.transpose(0, 1), encoder_out, encoder_out, encoder_padding_mask, incremental_state,
                need_weights=need_attn or need_head_weights or (not self.training and self.need_attn),
                static_kv=True, need_head_weights=need_head_weights,
            )  # fmt: skip
            return self.dropout_module(out).transpose(0, 1)

        content = self.sites[0](stream.content, attend, mask)
        content = self.sites[1](content, attend_source, mask)
        content = self.sites[2](content, lambda h: _feed_forward(self, h), mask)
        return self.sites.leave(content, stream), attention, None


class SkipEncoder(TransformerEncoderBase):
    def __init__(self, cfg: Any, dictionary: Any, embed_tokens: nn.Embedding, connection: MakeConnection) -> None:
        super().__init__(cfg, dictionary, embed_tokens)
        _give_sites(self.layers, cfg, connection, "encoder", ENCODER)

    def build_encoder_layer(self, cfg: Any) -> SkipEncoderLayer:
        return SkipEncoderLayer(cfg)


class SkipDecoder(TransformerDecoderBase):
    def __init__(self, cfg: Any, dictionary: Any, embed_tokens: nn.Embedding, connection: MakeConnection) -> None:
        super().__init__(cfg, dictionary, embed_tokens)
        _give_sites(self.layers, cfg, connection, "decoder", DECODER)

    def build_decoder_layer(self, cfg: Any, no_encoder_attn: bool = False) -> SkipDecoderLayer:
        return SkipDecoderLayer(cfg, no_encoder_attn)

    def buffered_future_mask(self, tensor: Tensor | Stream) -> Tensor:
        return super().buffered_future_mask(tensor.entered if isinstance(tensor, Stream) else tensor)


@register_model("skipln_transformer")
class SkipTransformer(TransformerModel):
    """fairseq's `transformer` with `--skip`, `--skip-norm` and their options."""

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        TransformerModel.add_args(parser)
        add_flags(parser)

    @classmethod
    def build_model(cls, args: Any, task: Any) -> "SkipTransformer":
        if args.decoder_embed_dim != args.encoder_embed_dim:
            raise ValueError("skipln_transformer: --encoder-embed-dim and --decoder-embed-dim must be equal")
        return super().build_model(args, task)

    @classmethod
    def build_encoder(cls, args: Any, src_dict: Any, embed_tokens: nn.Embedding) -> SkipEncoder:
        cfg = TransformerConfig.from_namespace(args)
        return SkipEncoder(cfg, src_dict, embed_tokens, connections_of(*chosen(args)))

    @classmethod
    def build_decoder(cls, args: Any, tgt_dict: Any, embed_tokens: nn.Embedding) -> SkipDecoder:
        cfg = TransformerConfig.from_namespace(args)
        return SkipDecoder(cfg, tgt_dict, embed_tokens, connections_of(*chosen(args)))


ARCHITECTURES = {
    "skipln_transformer": legacy.base_architecture,
    "skipln_transformer_base": legacy.base_architecture,
    "skipln_transformer_tiny": legacy.tiny_architecture,
    "skipln_transformer_iwslt": legacy.transformer_iwslt_de_en,
    "skipln_transformer_big": legacy.transformer_vaswani_wmt_en_de_big,
}


def _register(name: str, architecture: Any) -> None:
    @register_model_architecture("skipln_transformer", name)
    def fill(args: Any) -> None:
        architecture(args)
        check(args)


for _name, _architecture in ARCHITECTURES.items():
    _register(_name, _architecture)


def _feed_forward(layer: Any, h: Tensor) -> Tensor:
    """Apply fairseq's fc1 and fc2 with both dropouts, position by position, so time or batch may come first."""
    h = layer.activation_dropout_module(layer.activation_fn(layer.fc1(h)))
    return layer.dropout_module(layer.fc2(h))


class LayerBranch(Fixed):
    """A branch of a fairseq layer."""

    def __init__(self, layer: Any, branch: str, name: str) -> None:
        super().__init__(name)
        attention = {"self_attention": "self_attn", "source_attention": "encoder_attn"}.get(branch)
        self.heads = getattr(layer, attention).num_heads if attention else 1
        self.linears: dict[str, nn.Linear] = {"hidden": layer.fc1, "out": layer.fc2}
        if attention:
            projections = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}
            self.linears = {role: getattr(getattr(layer, attention), name) for role, name in projections.items()}

    def weights(self) -> dict[str, Tensor]:
        return {role: linear.weight.detach() for role, linear in self.linears.items()}


def _give_sites(
    layers: nn.ModuleList, cfg: Any, connection: MakeConnection, stack: str, branches: Sequence[str]
) -> None:
    depths = {"encoder": cfg.encoder.layers, "decoder": cfg.decoder.layers}
    make = partial(connection, cfg.encoder.embed_dim)
    for layer, sites in zip(layers, stack_of(make, stack, branches, depths), strict=True):
        layer.sites = Sites(sites)
        for site in sites:
            site.init_branch(LayerBranch(layer, site.place.branch, site.name))


def _first(sites: nn.ModuleList) -> Connection:
    return sites[0]  # type: ignore[return-value]


def _last(sites: nn.ModuleList) -> Connection:
    return sites[-1]  # type: ignore[return-value]
