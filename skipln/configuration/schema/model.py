"""Sizes of the nets."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from skipln.configuration.schema.node import Node, Rate

MOST_LAYERS = 10_000  # ten times as many as the deepest published Transformer (DeepNet, Wang et al. 2022)

Layers = Annotated[int, Field(ge=1, le=MOST_LAYERS)]


class TransformerModel(Node):
    kind: Literal["transformer"]
    encoder_layers: Layers
    """Layers of the encoder."""
    decoder_layers: Layers
    """Layers of the decoder."""
    dim: PositiveInt
    """Channels of the stream."""
    feed_forward_dim: PositiveInt
    """Channels inside a feed-forward branch."""
    heads: PositiveInt
    """Attention heads; their number divides dim."""
    dropout: Rate
    """Dropout of every branch's output and of the embeddings."""
    attention_dropout: Rate
    """Dropout of attention weights."""
    activation_dropout: Rate
    """Dropout inside a feed-forward branch."""
    word_dropout: Rate = 0.0
    """Share of source and target input words replaced by the unknown word."""
    positions: Literal["paper", "fairseq"] = "paper"
    """paper: sines and cosines from 0; fairseq: tensor2tensor's, from 2."""


class ResNetModel(Node):
    kind: Literal["resnet"]
    blocks: Annotated[list[Layers], Field(min_length=1)]
    """Blocks of each stage."""
    width: PositiveInt
    """Channels of the first stage, doubled from stage to stage."""
    block: Literal["basic", "bottleneck"]
    """Two 3×3 convolutions, or 1×1, 3×3, 1×1."""
    activation: Literal["pre", "post"]
    """pre: activations inside the branches; post: relu after the join."""
    stem: Literal["small", "large"]
    """small: one 3×3 convolution; large: 7×7 and pooling, for ImageNet."""
    norm: Literal["batch", "none"] = "batch"
    """Norm in the branches."""
    head_norm: Literal["none", "batch"] = "none"
    """Norm of the logits."""
