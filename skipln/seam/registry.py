"""The registry of connections: strict about names and options, filled by the files of this package."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skipln.seam.options import check_options

if TYPE_CHECKING:  # torch loads when the first connection is asked for, not with the configuration
    from skipln.seam.connection import Connection

_registry: dict[str, tuple[type["Connection"], dict[str, Any]]] = {}
_STRUCTURAL = ("self", "dim", "layout", "place")


def register(name: str, **fixed: Any) -> Callable[[type["Connection"]], type["Connection"]]:
    """Class decorator: enter a connection under `name`, with the constructor arguments `fixed` settled.

    Raises ValueError when the name is taken.
    """

    def enter(connection: type["Connection"]) -> type["Connection"]:
        if name in _registry:
            raise ValueError(f"the connection '{name}' is registered twice")
        _registry[name] = (connection, fixed)
        return connection

    return enter


def names() -> list[str]:
    """Every registered connection, in alphabetical order."""
    package = importlib.import_module("skipln.skips")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"skipln.skips.{module.name}")
    return sorted(_registry)


def options(name: str) -> dict[str, Any]:
    """The options that `name` takes, each with its default. Raises ValueError for an unknown name."""
    connection, fixed = _find(name)
    parameters = inspect.signature(connection).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in (*_STRUCTURAL, *fixed, "norm")}


def takes_norm(name: str) -> bool:
    """Whether the norm inside `name` is a choice (it is not where the form has none or fixes it)."""
    connection, fixed = _find(name)
    return "norm" in inspect.signature(connection).parameters and "norm" not in fixed


def create(
    name: str, dim: int, *, layout: str = "btc", place: Any = None, norm: Any = None, **given: Any
) -> "Connection":
    """Build one residual site.

    name: one of `names()`. dim: channels. layout: "btc" for [batch, time, channel] or "nchw" for feature maps.
    place: where the site stands in its stack (`Place`, default the only site of a stack of one).
    norm: a factory (dim, layout) -> module that takes the place of LN in the forms that have a choice.
    given: the connection's own options, see `options(name)`.
    Raises ValueError for an unknown name or option, a value out of range, or a norm where there is no choice.
    """
    from skipln.seam.connection import LAYOUTS, Place

    connection, fixed = _find(name)
    if layout not in LAYOUTS:
        raise ValueError(f"layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
    chosen = check_options(name, given, options(name))
    if norm is not None:
        if not takes_norm(name):
            raise ValueError(f"{name} has no norm to choose: leave norm at its default")
        chosen["norm"] = norm
    return connection(dim, layout=layout, place=place or Place(), **fixed, **chosen)


def _find(name: str) -> tuple[type["Connection"], dict[str, Any]]:
    choices = names()
    if name not in _registry:
        raise ValueError(f"unknown connection '{name}': choose one of {', '.join(choices)}")
    return _registry[name]
