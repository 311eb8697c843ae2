"""The norms by name, as the configuration chooses them."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from skipln.norms.batch import BatchNorm
from skipln.norms.layer import LayerNorm
from skipln.norms.rms import RMSNorm
from skipln.seam.options import check_options

Norm = Callable[[int, str], nn.Module]
_norms: dict[str, type[nn.Module]] = {"layer": LayerNorm, "batch": BatchNorm, "rms": RMSNorm}


def names() -> list[str]:
    """Every norm, in alphabetical order."""
    return sorted(_norms)


def options(name: str) -> dict[str, Any]:
    """The options of norm `name`, each with its default. Raises ValueError for an unknown name."""
    if name not in _norms:
        raise ValueError(f"unknown norm '{name}': choose one of {', '.join(names())}")
    parameters = inspect.signature(_norms[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def create(name: str, **given: Any) -> Norm:
    """A factory (dim, layout) -> module for norm `name`. Raises ValueError for an unknown name or option."""
    chosen = check_options(name, given, options(name))
    return partial(_norms[name], **chosen)
