"""The seam between a connection and its norm: how norms are made and named. Each is a file in skipln.norms.

A norm is called as norm(x, mask). A norm that acts on a net's weights may have `hold_weights(net, branches)`. After its
own initialisation a ResNet calls this once, for the first such norm, with the branches of all its blocks in order.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from skipln.seam.registry import Registry

Norm = Callable[[int, str], nn.Module]
registry = Registry("norm", "skipln.norms", structural=("dim", "layout"))
register, names, options = registry.register, registry.names, registry.options


def create(name: str, **given: Any) -> Norm:
    """Return a factory (dim, layout) -> module for norm `name`. Raises ValueError for an unknown name or option."""
    return partial(registry.find(name).kind, **registry.find(name).fixed, **registry.check(name, given))


def per_channel(parameter: Tensor, layout: str) -> Tensor:
    """Reshape a parameter [dim] so that it multiplies the channels of x in that layout."""
    return parameter[:, None, None] if layout == "nchw" else parameter
