"""The norms by name, as the configuration chooses them: filled by the files of this package."""

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
