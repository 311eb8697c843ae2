"""Gives a net of torch's or torchvision's another connection and keeps its weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from skipln.errors import UserError
from skipln.library.layers import ConvertedDecoderLayer, ConvertedEncoderLayer
from skipln.library.residual_blocks import ConvertedBlock
from skipln.norms import LayerNorm
from skipln.seam.connection import Connection
from skipln.seam.place import Place, stack_of
from skipln.tasks.connections import connections_of


@dataclass(frozen=True)
class Kind:
    """How to convert one of their classes: its stack's name, a layer's branches, their norms, and the new class."""

    stack: str
    branches: tuple[str, ...]
    norms: tuple[str, ...]
    layout: str
    make: Callable[[Any, list[Connection]], nn.Module]


ENCODER = Kind("encoder", ("self_attention", "feed_forward"), ("norm1", "norm2"), "btc", ConvertedEncoderLayer)
DECODER = Kind(
    "decoder", ("self_attention", "source_attention", "feed_forward"), ("norm1", "norm2", "norm3"), "btc",
    ConvertedDecoderLayer,
)  # fmt: skip
BLOCK = Kind("stage", ("convolutions",), (), "nchw", ConvertedBlock)
KINDS: dict[type[nn.Module], Kind] = {
    nn.TransformerEncoderLayer: ENCODER,
    nn.TransformerDecoderLayer: DECODER,
    BasicBlock: BLOCK,
    Bottleneck: BLOCK,
}


def convert(module: nn.Module, skip: str = "rskip_ln", *, norm: str = "layer", **options: Any) -> nn.Module:
    """Put the connection `skip` at the residual sites of torch's Transformer layers and torchvision's blocks.

    Like SyncBatchNorm's conversion, this changes the parts of `module` in place, keeps their parameters and returns
    `module`. If `module` is itself a layer or block, the result is a new one with the same parameters. options: the
    connection's own, such as lam=2. Norms inside a branch stay there: a block's batch norm, and the norm before the
    branch in a layer with norm_first. A post-norm layer's norm becomes the connection's norm of x + F(x), which
    xskip_ln and rskip_ln have; with λ = 1 they leave the layer as it was. Elsewhere xskip with λ = 1 does.

    Raises UserError, and changes nothing, for a module without such layers, a subclass of them, layers with hooks, and
    a connection that carries more than x, initialises the branches or has no place for a norm.
    """
    stacks = _stacks(module)
    if not stacks:
        known = ", ".join(kind.__name__ for kind in KINDS)
        raise UserError(f"{type(module).__name__} has nothing to convert: only {known} can be converted")
    depths = {name: len(layers) for name, layers in stacks.items()}
    made: dict[int, nn.Module] = {}
    for name, layers in stacks.items():
        kind = KINDS[type(layers[0])]
        maker = partial(_site, layers, skip, norm, options, kind)
        for layer, sites in zip(layers, stack_of(maker, name, kind.branches, depths), strict=True):
            made[id(layer)] = kind.make(layer, sites).train(layer.training)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if id(child) in made:
                setattr(parent, name, made[id(child)])
        if isinstance(parent, nn.TransformerEncoder):
            parent.use_nested_tensor = False  # only torch's own kernel for whole layers takes nested tensors
    return made.get(id(module), module)


def _stacks(module: nn.Module) -> dict[str, list[nn.Module]]:
    """Return the layers to convert by the name of their stack, which is those of one kind under one parent.

    Raises UserError as `convert` does.
    """
    found: dict[tuple[int, str], list[nn.Module]] = {}
    seen: set[int] = set()
    for parent, children in [(None, [module]), *((one, one.children()) for one in module.modules())]:
        for child in children:
            if id(child) in seen or not isinstance(child, tuple(KINDS)):
                continue
            seen.add(id(child))
            _check_layer(child)
            found.setdefault((id(parent), KINDS[type(child)].stack), []).append(child)
    names: dict[str, list[nn.Module]] = {}
    for (_, stack), layers in found.items():
        number = 1 + sum(name.startswith(stack) for name in names)
        names[f"{stack}{number}" if stack == "stage" or number > 1 else stack] = layers
    return names


def _check_layer(layer: nn.Module) -> None:
    if type(layer) not in KINDS:
        raise UserError(f"{type(layer).__name__} is a subclass of a known layer and may compute something else")
    kind = KINDS[type(layer)]
    if any(one._forward_hooks or one._forward_pre_hooks or one._backward_hooks for one in _parts(layer, kind)):
        raise UserError(f"{type(layer).__name__} has hooks, which would be lost: remove them first")
    for name in kind.norms:
        if not isinstance(layer.get_submodule(name), nn.LayerNorm):
            raise UserError(
                f"{type(layer).__name__}.{name} is a {type(layer.get_submodule(name)).__name__}, not a LayerNorm"
            )


def _parts(layer: nn.Module, kind: Kind) -> list[nn.Module]:
    return [layer, *(layer.get_submodule(name) for name in kind.norms)]


def _site(
    layers: Sequence[nn.Module], skip: str, norm: str, options: dict[str, Any], kind: Kind, place: Place
) -> Connection:
    """Make the connection at `place`, with the layer's norm there if that normalises the sum."""
    layer: Any = layers[place.layer - 1]
    theirs = None
    if kind.norms and not layer.norm_first:
        theirs = layer.get_submodule(kind.norms[place.index % len(kind.norms)])
    eps = {"eps": theirs.eps} if theirs is not None and norm == "layer" else {}
    dim = layer.linear1.in_features if kind.norms else _channels(layer)
    site = connections_of({"name": skip, **options}, {"name": norm, **eps}, kind.layout)(dim, place)
    if site.carries_stream:
        raise UserError(
            f"{skip} carries more than x from layer to layer: build the net with skipln.transformer or resnet"
        )
    if type(site).init_branch is not Connection.init_branch:
        raise UserError(
            f"{skip} initialises the branches, whose weights are kept here: build the net with skipln.transformer"
        )
    weight = next(layer.parameters())
    site.to(weight.device, weight.dtype)
    if theirs is not None:
        _take_norm(site, theirs)
    return site


def _take_norm(site: Connection, theirs: nn.LayerNorm) -> None:
    """Give the site's norm of x + F(x) the parameters of their norm."""
    if not site.norm_of_sum:
        raise UserError(
            f"{site.name} has no norm of x + F(x), which a layer with norm_first=False needs: use xskip_ln or rskip_ln"
        )
    ours = site.get_submodule(site.norm_of_sum)
    if type(ours) is not LayerNorm:
        raise UserError(f"{site.name} normalises x + F(x) by {type(ours).__name__}, but the layer by LayerNorm")
    if theirs.weight is None or theirs.bias is None:
        raise UserError("a LayerNorm without gain or bias (bias=False) cannot be converted: ours has both")
    ours.weight, ours.bias = theirs.weight, theirs.bias


def _channels(block: Any) -> int:
    last = block.conv3 if isinstance(block, Bottleneck) else block.conv2
    return int(last.out_channels)
