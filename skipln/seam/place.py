"""Where a residual site stands in its net."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

Site = TypeVar("Site")


@dataclass(frozen=True)
class Place:
    """Site number `index` (from 0) of its stack's `sites`, in layer or block `layer` (from 1) of the stack's `layers`.

    stack: "encoder", "decoder", "stage1", …; a stack is entered and left once.
    branch: the kind of F: "self_attention", "source_attention", "feed_forward" or "convolutions".
    depths: the number of layers of every stack of the net, in the order of the calls; by default this stack alone.
    The default place is that of the only site of a net. Raises ValueError for numbers that contradict each other.
    """

    stack: str = "encoder"
    index: int = 0
    sites: int = 1
    layer: int = 1
    layers: int = 1
    branch: str = "feed_forward"
    depths: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __post_init__(self) -> None:
        if not self.depths:
            object.__setattr__(self, "depths", {self.stack: self.layers})
        if self.sites % self.layers or not self.layer == 1 + self.index * self.layers // self.sites <= self.layers:
            raise ValueError(f"no such place: {self}")
        if self.depths.get(self.stack) != self.layers:
            raise ValueError(f"{self.stack} has {self.layers} layers, but depths says {dict(self.depths)}")

    @property
    def in_series(self) -> int:
        """How many sites this one is in series with, itself included: those of its stack in an encoder-decoder net,
        those of all stacks elsewhere, as in a ResNet."""
        if set(self.depths) == {"encoder", "decoder"}:
            return self.sites
        return sum(self.depths.values()) * self.sites // self.layers

    @property
    def first(self) -> bool:
        """Whether this is the first site of its stack."""
        return self.index == 0

    @property
    def last(self) -> bool:
        """Whether this is the last site of its stack."""
        return self.index == self.sites - 1

    @property
    def begins_layer(self) -> bool:
        """Whether no site of its layer comes before it."""
        return self.index % (self.sites // self.layers) == 0

    @property
    def ends_layer(self) -> bool:
        """Whether no site of its layer comes after it."""
        return (self.index + 1) % (self.sites // self.layers) == 0


ONLY = Place()


def stack_of(
    make: Callable[[Place], Site], stack: str, branches: Sequence[str], depths: Mapping[str, int]
) -> list[list[Site]]:
    """Return the sites of `stack` layer by layer, one for each of a layer's `branches`."""
    layers, each = depths[stack], len(branches)
    return [
        [
            make(Place(stack, layer * each + i, layers * each, layer + 1, layers, branch, depths))
            for i, branch in enumerate(branches)
        ]
        for layer in range(layers)
    ]
