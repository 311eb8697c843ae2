"""The seam between models and connections: every residual site is a `Connection`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from skipln.seam.place import ONLY, Place

Branch = Callable[[Tensor], Tensor]
LAYOUTS = ("btc", "nchw")


@dataclass(frozen=True)
class DroppedBranch:
    """A branch that ends in dropout, told apart so that a connection may draw it in its own pass over F."""

    function: Branch
    dropout: nn.Dropout

    def __call__(self, x: Tensor) -> Tensor:
        return self.dropout(self.function(x))


class BranchModule(Protocol):
    """What a connection may know of the module that computes F, when it initialises it."""

    heads: int  # of an attention; 1 elsewhere

    def weights(self) -> dict[str, Tensor]:
        """Its matrices by their role, without gradient; what is written into one is written into the parameter.

        Attention: "query", "key", "value", "out", each [out, in]. Feed-forward: "hidden", "out". Convolutions:
        "convolution1", "convolution2", …, each [out, in, k, k].
        """

    def before_output(self, make: Callable[[int], nn.Module]) -> None:
        """Put make(channels) in front of the last matrix: what it makes of what the heads or the activation give.

        Raises ValueError where there is no place for it.
        """


class Connection(nn.Module):
    """One residual site, called as `y = site(x, branch)`; a model never writes x + f(x) itself.

    Most connections write `join` alone, the formula. One that decides what F reads, or that carries more than x from
    site to site (a stream, any structure of tensors), writes `forward`, and makes the stream in `enter` and closes it
    in `leave`. A stack calls `enter` of its first site before it and `leave` of its last site after it, so parameters
    of `leave` belong to the site whose `place.last` is true.

    x: [batch, time, dim] for layout "btc", [batch, dim, height, width] for "nchw".
    branch: F, dropout included; called exactly once with a tensor like x, returns one of the same shape.
    mask: bool [batch, time], True at the positions that are not padding; needed only by norms over the batch.

    A connection, as any other module of a net, may have `after_step(self) -> None`. The training loop calls it after
    every update, without gradients, and once more after the weights of checkpoints were averaged.

    A connection that is not to be trained before it saw a batch has a buffer `profiled`, false until then, and
    `profile(self, x, f, mask, following)`. One pass over the first batch calls that at every site, with the next site
    of the stack, None at the last (`skipln.seam.profile`).
    """

    name = ""  # under which it was created
    norm_of_sum = ""  # the name of its module that normalises x + F(x), where a norm does: "norm" of post-LN
    not_in_resnets = ""  # why it has no meaning in one, in one line; "" where it has

    def __init__(self, dim: int, *, layout: str = "btc", place: Place = ONLY) -> None:
        super().__init__()
        self.dim, self.layout, self.place = dim, layout, place

    @property
    def channels(self) -> int:
        """The dimension of x that holds the channels, counted from the end."""
        return -3 if self.layout == "nchw" else -1

    def of_channels(self, vector: Tensor) -> Tensor:
        """A vector [dim], a number for each channel, in a shape that multiplies x; a scalar stays one."""
        return vector[:, None, None] if vector.dim() and self.layout == "nchw" else vector

    @property
    def carries_stream(self) -> bool:
        """Whether more than x goes from site to site: no function of x alone may stand between two of its sites."""
        return type(self).enter is not Connection.enter

    def enter(self, x: Tensor) -> Any:
        """x → stream, in front of the first site of a stack."""
        return x

    def leave(self, stream: Any) -> Tensor:
        """stream → x, behind the last site of a stack."""
        return stream

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        """y of x and f = F(x)."""
        raise TypeError(f"{type(self).__name__} does not say how it joins x and F(x)")

    def forward(self, stream: Any, branch: Branch, mask: Tensor | None = None) -> Any:
        """stream → stream, with one call of the branch."""
        return self.join(stream, branch(stream), mask)

    def init_branch(self, branch: BranchModule) -> None:
        """Change the branch's weights, after the model's own initialisation and before anything is trained.

        The branch is a module of the model's. A connection that needs it later, in `after_step()`, keeps it in a tuple,
        so that it does not become a module of the connection too.
        """

    def init_head(self, weight: Tensor) -> None:
        """Change the classifier's matrix [classes, channels], without gradient, of a net whose last site this is.

        A ResNet calls it; a Transformer's head is its embedding and stays.
        """


# How a net gets its sites: (channels, place) -> connection.
MakeConnection = Callable[[int, Place], Connection]


def own_modules(net: nn.Module) -> Iterator[nn.Module]:
    """The modules of `net` outside its connections: what a net's initialisation is about."""
    if not isinstance(net, Connection):
        yield net
        for child in net.children():
            yield from own_modules(child)
