"""The encoder-decoder Transformer (Vaswani et al. 2017) with its residual sites left open.

The model builds every site with the `connection` and every attention with the `attention` that it is given, calls sites
as site(x, branch), and knows neither by name.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from skipln.attention import create as create_attention
from skipln.models.decoder_state import DecoderState
from skipln.ops import Linear, Packed, linear, output_cross_entropy
from skipln.seam.attention import Attention, MakeAttention, State
from skipln.seam.connection import Branch, Connection, DroppedBranch, MakeConnection, own_modules
from skipln.seam.place import stack_of


@dataclass(frozen=True)
class TransformerShape:
    """Layers of each stack, model width, feed-forward width, heads, and the four dropout rates.

    positions: the form of the position encoding, one of `POSITIONS`.
    """

    encoder_layers: int
    decoder_layers: int
    dim: int
    feed_forward_dim: int
    heads: int
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    word_dropout: float = 0.0
    positions: str = "paper"


ENCODER = ("self_attention", "feed_forward")  # the branches of a layer, in order
DECODER = ("self_attention", "source_attention", "feed_forward")


class FeedForward(nn.Sequential):
    """W₂ relu(W₁ x + b₁) + b₂ at every position."""

    heads = 1

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__(
            Linear(shape.dim, shape.feed_forward_dim),
            nn.ReLU(),
            nn.Dropout(shape.activation_dropout),
            Linear(shape.feed_forward_dim, shape.dim),
        )

    def weights(self) -> dict[str, Tensor]:
        hidden, out = cast(nn.Linear, self[0]), cast(nn.Linear, self[-1])
        return {"hidden": hidden.weight.detach(), "out": out.weight.detach()}

    def before_output(self, make: Callable[[int], nn.Module]) -> None:
        self[-2] = nn.Sequential(self[-2], make(cast(nn.Linear, self[-1]).in_features))


class EncoderLayer(nn.Module):
    """Self-attention, then the feed-forward network, each at a residual site."""

    def __init__(self, shape: TransformerShape, sites: list[Connection], attention: MakeAttention) -> None:
        super().__init__()
        self.self_attention = attention(shape.dim, shape.heads, shape.attention_dropout)
        self.feed_forward = FeedForward(shape)
        self.dropout = nn.Dropout(shape.dropout)
        self.sites = nn.ModuleList(sites)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        def attend(h: Tensor) -> Tensor:
            return self.self_attention(h, h, mask)

        x = self.sites[0](x, DroppedBranch(attend, self.dropout), mask)
        return self.sites[1](x, DroppedBranch(self.feed_forward, self.dropout), mask)


class DecoderLayer(nn.Module):
    """Masked self-attention, attention to the source, then the feed-forward network, each at a residual site."""

    def __init__(self, shape: TransformerShape, sites: list[Connection], attention: MakeAttention) -> None:
        super().__init__()
        self.self_attention = attention(shape.dim, shape.heads, shape.attention_dropout)
        self.source_attention = attention(shape.dim, shape.heads, shape.attention_dropout)
        self.feed_forward = FeedForward(shape)
        self.dropout = nn.Dropout(shape.dropout)
        self.sites = nn.ModuleList(sites)

    def forward(self, x: Tensor, mask: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        """Return the layer's output for all positions at once, x [batch, time, dim].

        memory: the encoder's output. Masks: [batch, time] of x and of the memory, True where they are not padding.
        """

        def attend(h: Tensor) -> Tensor:
            # A target has its padding at the end, so causality alone keeps real positions from seeing it.
            return self.self_attention(h, h, causal=True)

        return self._through_sites(x, attend, partial(self.source_attention, memory=memory, mask=memory_mask), mask)

    def step(self, x: Tensor, past: State, source: State) -> Tensor:
        """Return the layer's output for one more position per row, x [rows, 1, dim].

        past: the state of `self_attention`, which keeps the position. source: that of `source_attention`.
        """
        attend = partial(self.self_attention.step, state=past)
        return self._through_sites(x, attend, partial(self.source_attention.step, state=source), None)

    def _through_sites(self, x: Tensor, attend: Branch, attend_source: Branch, mask: Tensor | None) -> Tensor:
        x = self.sites[0](x, DroppedBranch(attend, self.dropout), mask)
        x = self.sites[1](x, DroppedBranch(attend_source, self.dropout), mask)
        return self.sites[2](x, DroppedBranch(self.feed_forward, self.dropout), mask)


class Transformer(nn.Module):
    """Encoder-decoder with one embedding matrix shared by source, target and output.

    vocabulary: its size. pad, unknown: the ids of padding and of the unknown word. Tokens are int64 [batch, time].
    attention: softmax unless given.
    Init: Xavier uniform for every projection matrix, zero biases, embeddings N(0, 1/dim) scaled by √dim when read.
    Dropout is the paper's: on the sum of embeddings and positions, and on each branch's output.
    Word dropout is that of Nguyen & Salazar's code (2019): in training, each input token of source and target except
    padding, begin and end symbols included, becomes `unknown` independently with probability p. The tokens to predict
    stay, and nothing is rescaled.
    """

    positions: Tensor
    packed: Packed | None = None  # of the output layer, see `packed_weights`

    def __init__(
        self,
        vocabulary: int,
        shape: TransformerShape,
        connection: MakeConnection,
        pad: int = 0,
        unknown: int = 1,
        attention: MakeAttention | None = None,
    ) -> None:
        super().__init__()
        attention = attention or create_attention()
        self.pad, self.unknown, self.dim, self.word_dropout = pad, unknown, shape.dim, shape.word_dropout
        self.embedding = nn.Embedding(vocabulary, shape.dim)
        self.dropout = nn.Dropout(shape.dropout)
        depths = {"encoder": shape.encoder_layers, "decoder": shape.decoder_layers}
        make = partial(connection, shape.dim)
        encoder, decoder = stack_of(make, "encoder", ENCODER, depths), stack_of(make, "decoder", DECODER, depths)
        self.encoder = nn.ModuleList(EncoderLayer(shape, sites, attention) for sites in encoder)
        self.decoder = nn.ModuleList(DecoderLayer(shape, sites, attention) for sites in decoder)
        self.sinusoids = POSITIONS[shape.positions]
        self.register_buffer("positions", self.sinusoids(1024, shape.dim), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.embedding.weight, std=self.dim**-0.5)
        for module in own_modules(self):
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for module in own_modules(self):
            if isinstance(module, Attention):
                module.reset_parameters()
        for layer in (*self.encoder, *self.decoder):
            for site in layer.sites:
                site.init_branch(getattr(layer, site.place.branch))

    def forward(
        self, source: Tensor, target_in: Tensor, target_out: Tensor | None = None, smoothing: float = 0.0
    ) -> Any:
        """Return the logits [positions, vocabulary] at the non-padding positions of target_in, in reading order.

        Given `target_out`, of target_in's shape, return instead the two sums of `smoothed_cross_entropy` over these
        positions, without holding all logits at once.
        """
        memory, memory_mask = self.encode(source)
        real = target_in != self.pad
        hidden = self.decode(target_in, memory, memory_mask)[real]
        if target_out is None:
            return self.project(hidden)
        return output_cross_entropy(hidden, self.embedding.weight, target_out[real], smoothing)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return a source batch's memory [batch, time, dim] and its mask [batch, time], True where not padding."""
        mask = source != self.pad
        x = _first(self.encoder).enter(self._embed(source))
        for layer in self.encoder:
            x = layer(x, mask)
        return _last(self.encoder).leave(x), mask

    def decode(self, target_in: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        """Return the hidden states [batch, time, dim] of all target positions at once (training)."""
        mask = target_in != self.pad
        x = _first(self.decoder).enter(self._embed(target_in))
        for layer in cast(Iterable[DecoderLayer], self.decoder):
            x = layer(x, mask, memory, memory_mask)
        return _last(self.decoder).leave(x)

    def start(self, memory: Tensor, memory_mask: Tensor, steps: int) -> DecoderState:
        """Return the state before the first target position; there may be at most `steps` positions."""
        layers = cast(Iterable[DecoderLayer], self.decoder)
        rows = len(memory)
        return DecoderState(
            rows,
            [layer.source_attention.remember(memory, memory_mask) for layer in layers],
            [layer.self_attention.begin(rows, steps) for layer in layers],
            memory.device,
        )

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Advance `state` by one target token per row, tokens [rows]; return the next logits [rows, vocabulary]."""
        return self.project(self.advance(tokens, state))

    def advance(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Do as `step`, but return the hidden states [rows, dim] that the logits are made of."""
        x = _first(self.decoder).enter(self._embed(tokens[:, None], state.positions[:, None]))
        state.positions = state.positions + 1
        layers = cast(Iterable[DecoderLayer], self.decoder)
        for layer, past, source in zip(layers, state.pasts, state.sources, strict=True):
            x = layer.step(x, past, source)
        return _last(self.decoder).leave(x)[:, 0]

    def project(self, hidden: Tensor) -> Tensor:
        return linear(hidden, self.embedding.weight) if self.packed is None else self.packed(hidden)

    @contextmanager
    def packed_weights(self, precision: torch.dtype = torch.float32) -> Iterator[None]:
        """Inside, compute all linear layers by `Packed`, without gradients and from the weights as they are now.

        In float32 nothing changes where there is no kernel for it; under autocast nothing changes at all.
        """
        layers: list[Any] = [layer for layer in self.modules() if isinstance(layer, Linear)]
        weight = self.embedding.weight
        if not torch.is_autocast_enabled(weight.device.type):
            for layer in layers:
                layer.packed = Packed.where_it_helps(layer.weight, layer.bias, precision)
            self.packed = Packed.where_it_helps(weight, None, precision)
        try:
            yield
        finally:
            for layer in (self, *layers):
                layer.packed = None

    def _embed(self, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
        """Embed tokens [rows, time] at their positions, of the same shape; None: they begin at the first."""
        end = tokens.size(1) if positions is None else 1 + int(positions.max()) if len(positions) else 0
        table = (
            self.positions
        )  # a local name, because another thread may replace it by a shorter one than is needed here
        if end > table.size(0):
            table = self.positions = self.sinusoids(2 * end, self.dim).to(table)
        at = table[:end] if positions is None else nn.functional.embedding(positions, table)
        if self.training and self.word_dropout:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(dropped & (tokens != self.pad), self.unknown)
        return self.dropout(self.embedding(tokens) * math.sqrt(self.dim) + at)


def sinusoids(length: int, dim: int) -> Tensor:
    """Return positions [length, dim]: sin(t / 10000^(2i/dim)) in the even channels, cos in the odd ones."""
    time = torch.arange(length, dtype=torch.float64)[:, None]
    angle = time * torch.exp(torch.arange(0, dim, 2, dtype=torch.float64) * (-math.log(10000.0) / dim))
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)[:, :dim].float()


def tensor2tensor_sinusoids(length: int, dim: int, start: int = 2) -> Tensor:
    """Return positions [length, dim] as in tensor2tensor and fairseq, from time `start` on (fairseq counts from 2).

    They are sin(t / 10000^(i/(h−1))) in the first h = dim / 2 channels and cos in the others. Not only the order but
    also the frequencies differ from the paper's.
    """
    half = dim // 2
    time = torch.arange(start + length, dtype=torch.float)[:, None]  # float32 and from 0, for the same bits as fairseq
    angle = time * torch.exp(torch.arange(half, dtype=torch.float) * -(math.log(10000) / max(1, half - 1)))
    return nn.functional.pad(torch.cat((angle.sin(), angle.cos()), dim=1), (0, dim - 2 * half))[start:]


POSITIONS = {"paper": sinusoids, "fairseq": tensor2tensor_sinusoids}


def _first(stack: nn.ModuleList) -> Connection:
    return cast(Any, stack)[0].sites[0]


def _last(stack: nn.ModuleList) -> Connection:
    return cast(Any, stack)[-1].sites[-1]
