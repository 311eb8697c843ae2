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
    """A branch that ends in dropout, kept apart so that a connection may draw it in its own pass over F."""

    function: Branch
    dropout: nn.Dropout

    def __call__(self, x: Tensor) -> Tensor:
        return self.dropout(self.function(x))


class BranchModule(Protocol):
    """What a connection may know of the module that computes F in order to initialise it."""

    heads: int  # of an attention; 1 elsewhere

    def weights(self) -> dict[str, Tensor]:
        """Return its matrices by role, without gradient; writing into one writes into the parameter.

        Attention: "query", "key", "value", "out", each [out, in]. Feed-forward: "hidden", "out". Convolutions:
        "convolution1", "convolution2", …, each [out, in, k, k].
        """

    def before_output(self, make: Callable[[int], nn.Module]) -> None:
        """Insert the module make(channels) before the last matrix, after the heads or the activation.

        Raises ValueError if there is no place for it.
        """


class Connection(nn.Module):
    """One residual site, called as `y = site(x, branch)`; a model never writes x + f(x) itself.

    Most connections write only `join`, the formula. A connection that decides what F reads, or that carries more than x
    from site to site (a stream, any structure of tensors), writes `forward`, makes the stream in `enter` and closes it
    in `leave`. A stack calls `enter` of its first site before that site and `leave` of its last site after that site,
    so the parameters of `leave` belong to the site whose `place.last` is true.

    x: [batch, time, dim] for layout "btc", [batch, dim, height, width] for "nchw".
    branch: F, dropout included; called exactly once with a tensor like x, it returns one of the same shape.
    mask: bool [batch, time], True at the positions that are not padding; only norms over the batch need it.

    Like any other module of a net, a connection may have `after_step(self) -> None`. The training loop calls it after
    every update, without gradients, and once more after it has averaged the weights of checkpoints.

    A connection that must see a batch before it is trained has a buffer `profiled`, false until then, and
    `profile(self, x, f, mask, following)`. One pass over the first batch calls it at every site; `following` is the
    stack's next site, or None at the last (`skipln.seam.profile`).
    """

    name = ""  # the registered name under which it was created
    norm_of_sum = ""  # the name of its module that normalises x + F(x), if one does: "norm" in post-LN
    not_in_resnets = ""  # why it makes no sense in a ResNet, in one line; "" if it does

    def __init__(self, dim: int, *, layout: str = "btc", place: Place = ONLY) -> None:
        super().__init__()
        self.dim, self.layout, self.place = dim, layout, place

    @property
    def channels(self) -> int:
        """The dimension of x that holds the channels, counted from the end."""
        return -3 if self.layout == "nchw" else -1

    def of_channels(self, vector: Tensor) -> Tensor:
        """Reshape a vector [dim], one number per channel, so that it multiplies x; a scalar stays a scalar."""
        return vector[:, None, None] if vector.dim() and self.layout == "nchw" else vector

    @property
    def carries_stream(self) -> bool:
        """Whether more than x goes from site to site; if so, no function of x alone may stand between two sites."""
        return type(self).enter is not Connection.enter

    def enter(self, x: Tensor) -> Any:
        """x → stream, before the first site of a stack."""
        return x

    def leave(self, stream: Any) -> Tensor:
        """stream → x, after the last site of a stack."""
        return stream

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return y, given x and f = F(x)."""
        raise TypeError(f"{type(self).__name__} does not say how it joins x and F(x)")

    def forward(self, stream: Any, branch: Branch, mask: Tensor | None = None) -> Any:
        """stream → stream, with one call of the branch."""
        return self.join(stream, branch(stream), mask)

    def init_branch(self, branch: BranchModule) -> None:
        """Change the branch's weights, after the model's own initialisation and before any training.

        The branch is a module of the model. A connection that needs it later, in `after_step()`, keeps it in a tuple,
        so that it does not become a module of the connection too.
        """

    def init_head(self, weight: Tensor) -> None:
        """Change the classifier's matrix [classes, channels], given without gradient, if this is the net's last site.

        Only a ResNet calls it; a Transformer's head is its embedding and stays as it is.
        """


# How a net gets its sites: (channels, place) -> connection.
MakeConnection = Callable[[int, Place], Connection]


def own_modules(net: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of `net` outside its connections, which are those that the net itself initialises."""
    if not isinstance(net, Connection):
        yield net
        for child in net.children():
            yield from own_modules(child)
