"""The seam between a connection and its norm: how norms are made, and their names, one file each in skipln.norms."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from skipln.seam.registry import Registry

Norm = Callable[[int, str], nn.Module]
registry = Registry("norm", "skipln.norms", structural=("dim", "layout"))
register, names, options = registry.register, registry.names, registry.options


def create(name: str, **given: Any) -> Norm:
    """A factory (dim, layout) -> module for norm `name`. Raises ValueError for an unknown name or option."""
    return partial(registry.find(name).kind, **registry.find(name).fixed, **registry.check(name, given))
