"""Residual networks for images (He et al. 2016a, 2016b) with their residual sites left open.

The model builds every site with the `connection` that it is given, calls it as site(x, branch), and knows none by name.
Post-activation nets have torchvision's layout (`skipln.models.torchvision_weights` converts its keys).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

from torch import Tensor, nn

from skipln.errors import UserError
from skipln.norms import BatchNormRelu, batch_norm
from skipln.seam.connection import Branch, Connection, MakeConnection, own_modules
from skipln.seam.place import stack_of

EXPANSION = {"basic": 1, "bottleneck": 4}  # output channels of a block per inner channel


@dataclass(frozen=True)
class ResNetShape:
    """A ResNet's sizes. blocks: their number in each stage. width: inner channels of stage 1, doubled at every stage.

    block: "basic" (two 3×3) or "bottleneck" (1×1, 3×3, 1×1 to four times the inner channels). activation: BN and relu
    come before each convolution ("pre", He et al. 2016b) or after it ("post", He et al. 2016a). stem: "small" (one 3×3,
    for images of about 32 pixels) or "large" (7×7 of stride 2 and a max-pooling, for 224 pixels).
    norm: "batch", or "none" for connections that need none (SkipInit, Fixup); convolutions then have a bias.
    head_norm: "batch" normalises the logits over the batch, without gain and bias (MimicNorm); "none" leaves them.
    """

    blocks: Sequence[int]
    width: int = 16
    block: Literal["basic", "bottleneck"] = "basic"
    activation: Literal["pre", "post"] = "pre"
    stem: Literal["small", "large"] = "small"
    norm: Literal["batch", "none"] = "batch"
    head_norm: Literal["none", "batch"] = "none"


class Convolutions(nn.Sequential):
    """A block's F: convolutions with a norm and a relu between them."""

    heads = 1

    def weights(self) -> dict[str, Tensor]:
        found = [module.weight.detach() for module in self.modules() if isinstance(module, nn.Conv2d)]
        return {f"convolution{i}": weight for i, weight in enumerate(found, 1)}

    def before_output(self, make: Callable[[int], nn.Module]) -> None:
        last = max(i for i, module in enumerate(self) if isinstance(module, nn.Conv2d))
        self[last - 1] = nn.Sequential(self[last - 1], make(cast(nn.Conv2d, self[last]).in_channels))


class PreActBlock(nn.Module):
    """site(x, F) with F = conv(relu(BN(…conv(relu(BN x))))).

    In a block that changes shape both paths start from the first activation a = relu(BN x) (He et al. 2016b, appendix):
    the site joins the projection of a and F's convolutions of a. The net's first block has no first activation, because
    the stem has already activated its input.
    """

    def __init__(self, inputs: int, inner: int, stride: int, shape: ResNetShape, site: Connection, first: bool) -> None:
        super().__init__()
        self.site = site
        self.activate = nn.Identity() if first else _activation(inputs, shape)
        # He et al.'s code strides a bottleneck's first convolution, torchvision's post-activation net its 3×3.
        strides = [stride, *[1] * (2 if shape.block == "bottleneck" else 1)]
        self.branch = Convolutions(*_convolutions(inputs, inner, strides, shape))
        self.project = None if (inputs, stride) == (site.dim, 1) else _conv(inputs, site.dim, 1, stride, shape)

    def open(self, x: Tensor) -> Any:
        """As the first block of a stage, turn the feature map x into the stream after this block."""
        if self.project is None:
            return self(self.site.enter(x))
        a = self.activate(x)
        return self.site(self.site.enter(self.project(a)), lambda _: self.branch(a))

    def forward(self, stream: Any) -> Any:
        return self.site(stream, lambda h: self.branch(self.activate(h)))

    def close(self, stream: Any) -> Tensor:
        return self.site.leave(stream)


class PostActBlock(nn.Module):
    """relu(site(x, F)) with F = BN(conv(relu(BN(conv x)))…); if the shape changes, x is BN(conv x), strided and 1×1.

    The relu is on the path from block to block, so a connection that carries more than x is refused. For CIFAR, He et
    al. 2016a use a parameter-free shortcut (their option A); ours is the projection (option B), which they use for
    ImageNet.
    """

    def __init__(self, inputs: int, inner: int, stride: int, shape: ResNetShape, site: Connection, first: bool) -> None:
        super().__init__()
        self.site, self.relu = site, nn.ReLU()
        strides = [1, stride, 1] if shape.block == "bottleneck" else [stride, 1]
        self.branch = Convolutions(*_convolutions(inputs, inner, strides, shape), _norm(site.dim, shape))
        self.project: nn.Module = nn.Identity()
        if (inputs, stride) != (site.dim, 1):
            self.project = nn.Sequential(_conv(inputs, site.dim, 1, stride, shape), _norm(site.dim, shape))

    def open(self, x: Tensor) -> Tensor:
        if isinstance(self.project, nn.Identity):
            return self(x)
        return self._joined(self.project(x), lambda _: self.branch(x))

    def forward(self, x: Tensor) -> Tensor:
        return self._joined(x, self.branch)

    def close(self, x: Tensor) -> Tensor:
        return x

    def _joined(self, x: Tensor, branch: Branch) -> Tensor:
        y = self.site(x, branch)
        return self.relu(self.site.leave(y) if self.site.place.last else y)


class Stage(nn.ModuleList):
    """Blocks with outputs of one shape, to which the first may change: [batch, C, H, W] -> [batch, C', H', W']."""

    def forward(self, x: Tensor) -> Tensor:
        blocks = cast(Sequence[Any], self)
        stream = blocks[0].open(x)
        for block in blocks[1:]:
            stream = block(stream)
        return blocks[-1].close(stream)


class ResNet(nn.Module):
    """Computes logits [batch, classes] from images [batch, channels, H, W].

    Init (He et al. 2015): convolutions N(0, 2 / (k²·outputs)), norms' gains 1 and biases 0, the classifier's bias 0.
    The branches' BN belongs to the net; a connection's norm belongs to the connection.
    """

    def __init__(self, shape: ResNetShape, channels: int, classes: int, connection: MakeConnection) -> None:
        super().__init__()
        kernel, stride = (3, 1) if shape.stem == "small" else (7, 2)
        stem = [_conv(channels, shape.width, kernel, stride, shape), *_norm_and_relu(shape.width, shape)]
        if shape.stem == "large":
            stem.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.stem = nn.Sequential(*stem)
        block = PreActBlock if shape.activation == "pre" else PostActBlock
        depths = {f"stage{number}": count for number, count in enumerate(shape.blocks, 1)}
        self.stages = nn.ModuleList()
        inputs = shape.width
        for number, name in enumerate(depths):
            inner = shape.width * 2**number
            outputs, stage = inner * EXPANSION[shape.block], Stage()
            for (site,) in stack_of(partial(connection, outputs), name, ["convolutions"], depths):
                if reason := refusal(site, shape):
                    raise UserError(reason)
                begins = site.place.first
                stride = 2 if number > 0 and begins else 1
                stage.append(block(inputs, inner, stride, shape, site, first=number == 0 and begins))
                inputs = outputs
            self.stages.append(stage)
        self.last = _activation(inputs, shape) if shape.activation == "pre" else nn.Identity()
        self.classifier = nn.Linear(inputs, classes)
        self.head_norm = nn.BatchNorm1d(classes, affine=False) if shape.head_norm == "batch" else nn.Identity()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for module in own_modules(self):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.zeros_(self.classifier.bias)
        blocks = [block for stage in cast(Iterable[Stage], self.stages) for block in cast(Iterable[Any], stage)]
        for block in blocks:
            block.site.init_branch(block.branch)
        blocks[-1].site.init_head(self.classifier.weight.detach())
        if holders := [module for module in self.modules() if hasattr(module, "hold_weights")]:
            cast(Any, holders[0]).hold_weights(self, [block.branch for block in blocks])

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for stage in cast(Iterable[Stage], self.stages):
            x = stage(x)
        return self.head_norm(self.classifier(self.last(x).mean((2, 3))))


def _convolutions(inputs: int, inner: int, strides: Sequence[int], shape: ResNetShape) -> list[nn.Module]:
    """Return the convolutions of a branch with a norm and a relu between them."""
    basic = shape.block == "basic"
    kernels, widths = ([3, 3], [inner, inner]) if basic else ([1, 3, 1], [inner, inner, 4 * inner])
    modules: list[nn.Module] = []
    for kernel, width, stride in zip(kernels, widths, strides, strict=True):
        modules += _norm_and_relu(inputs, shape) if modules else []
        modules.append(_conv(inputs, width, kernel, stride, shape))
        inputs = width
    return modules


def refusal(site: Connection, shape: ResNetShape) -> str:
    """Say in one line why a connection cannot stand in a ResNet of `shape`; "" if it can."""
    name = site.name or type(site).__name__
    if site.not_in_resnets:
        return f"{name} {site.not_in_resnets}"
    if shape.activation == "pre" or not site.carries_stream:
        return ""
    return (
        f"{name} carries more than x from block to block, and a post-activation ResNet has a relu between them: "
        "set model.activation=pre"
    )


def _norm(dim: int, shape: ResNetShape) -> nn.Module:
    return batch_norm(dim, "nchw") if shape.norm == "batch" else nn.Identity()


def _norm_and_relu(dim: int, shape: ResNetShape, inplace: bool = True) -> list[nn.Module]:
    """Both in one where there is a norm; the second place stays, since the weights behind it are named by theirs.

    inplace: whether nobody else reads what the relu is of.
    """
    return [BatchNormRelu(dim, "nchw"), nn.Identity()] if shape.norm == "batch" else [nn.Identity(), nn.ReLU(inplace)]


def _activation(dim: int, shape: ResNetShape) -> nn.Sequential:
    """relu(BN x) of a stream x, which others read too and which must therefore stay as it is."""
    return nn.Sequential(*_norm_and_relu(dim, shape, inplace=False))


class StridedPointwise(nn.Conv2d):
    """A strided 1×1 convolution, computed on the pixels that its stride reads.

    It equals nn.Conv2d. On the CPU (torch 2.15, AVX2) the backward pass of nn.Conv2d writes beyond its memory for a 1×1
    convolution of stride 2 on a channels-last map of 4 to 8 channels.
    """

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return nn.functional.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


def _conv(inputs: int, outputs: int, kernel: int, stride: int, shape: ResNetShape) -> nn.Conv2d:
    bias = shape.norm == "none"
    if kernel == 1 and stride > 1:
        return StridedPointwise(inputs, outputs, 1, stride, bias=bias)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)
