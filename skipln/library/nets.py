"""A Transformer or a ResNet with any connection, in one call and without a configuration."""

from typing import Any, Literal

from skipln import attention as attentions
from skipln.errors import UserError
from skipln.models.resnet import ResNet, ResNetShape
from skipln.models.transformer import Transformer, TransformerShape
from skipln.tasks.connections import connections_of

# Blocks per stage of the nets for ImageNet (He et al. 2016a), by depth.
IMAGENET = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def transformer(
    vocabulary: int,
    *,
    skip: str = "rskip_ln",
    layers: int | tuple[int, int] = 6,
    dim: int = 512,
    heads: int = 8,
    feed_forward: int | None = None,
    dropout: float = 0.1,
    pad: int = 0,
    norm: str = "layer",
    attention: str = "softmax",
    **options: Any,
) -> Transformer:
    """Build an encoder-decoder Transformer (Vaswani et al. 2017), called as net(source, target).

    source, target: int64 [batch, time], padded with `pad`. The net returns logits [positions, vocabulary] at the
    positions of target that are not padding, in reading order.
    vocabulary: its size. layers: the number in each stack, or (encoder, decoder). feed_forward: hidden channels, 4·dim
    unless given. skip: one of `skipln.skips.names()`; options: its own, such as lam=2. norm: the connections' norm.
    Raises UserError for an unknown name or option, or sizes that do not fit.
    """
    encoder, decoder = (layers, layers) if isinstance(layers, int) else layers
    hidden = 4 * dim if feed_forward is None else feed_forward
    _require_sizes(vocabulary=vocabulary, layers=min(encoder, decoder), dim=dim, heads=heads, feed_forward=hidden)
    shape = TransformerShape(encoder, decoder, dim, hidden, heads, dropout)
    connections = connections_of({"name": skip, **options}, {"name": norm})
    try:
        return Transformer(vocabulary, shape, connections, pad=pad, attention=attentions.create(attention))
    except ValueError as error:
        raise UserError(str(error)) from error


def resnet(
    depth: int = 20,
    *,
    skip: str = "rskip_ln",
    classes: int = 10,
    channels: int = 3,
    activation: Literal["post", "pre"] = "post",
    norm: str = "layer",
    **options: Any,
) -> ResNet:
    """Build a residual network, called as net(images): [batch, channels, height, width] → logits [batch, classes].

    depth: 18, 34, 50, 101 or 152 give the nets for ImageNet (He et al. 2016a); 20, 32, 44, 56, 110 and every other
    6n + 2 give those for images of about 32 pixels. activation: relu after the join ("post"), or inside the branches
    ("pre", He et al. 2016b), where a connection may carry more than x. skip, norm, options: see `transformer`.
    Raises UserError for another depth, an unknown name or option, or a connection that cannot stand in such a net.
    """
    _require_sizes(classes=classes, channels=channels)
    if activation not in ("post", "pre"):
        raise UserError(f"activation is post or pre, not {activation!r}")
    connections = connections_of({"name": skip, **options}, {"name": norm}, "nchw")
    if depth in IMAGENET:
        block: Literal["basic", "bottleneck"] = "basic" if depth < 50 else "bottleneck"
        shape = ResNetShape(IMAGENET[depth], 64, block, activation, "large")
    elif depth >= 8 and depth % 6 == 2:
        shape = ResNetShape([(depth - 2) // 6] * 3, 16, "basic", activation, "small")
    else:
        raise UserError(
            f"no ResNet has depth {depth}: choose 6n + 2, such as 20, 56 and 110, or {', '.join(map(str, IMAGENET))}"
        )
    return ResNet(shape, channels, classes, connections)


def _require_sizes(**sizes: int) -> None:
    """Raise UserError for a size that would make an empty net."""
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name} is at least 1, not {size}")
