"""Connections: the ways of joining a layer's input to its output, and the registry that names them.

    site = skipln.skips.create("rskip_ln", dim=512, lam=2)
    y = site(x, branch)          # branch: a callable, dropout included

Each file beside this one holds one connection (`streams.py` holds what several share). Importing this package imports
none of them, so the configuration can be checked before torch is loaded.
"""

from typing import TYPE_CHECKING, Any

from skipln.seam.registry import Registry

if TYPE_CHECKING:
    from skipln.seam.connection import Connection

registry = Registry("connection", "skipln.skips", structural=("dim", "layout", "place", "norm"))
register, names, options = registry.register, registry.names, registry.options

__all__ = ["create", "names", "options", "register", "registry", "takes_norm"]


def takes_norm(name: str) -> bool:
    """Return whether the norm inside `name` can be chosen; it cannot if the form has none or fixes it."""
    return registry.takes(name, "norm")


def create(
    name: str, dim: int, *, layout: str = "btc", place: Any = None, norm: Any = None, **given: Any
) -> "Connection":
    """Build one residual site.

    name: one of `names()`. dim: channels. layout: "btc" for [batch, time, channel] or "nchw" for feature maps.
    place: where the site stands in its net (`Place`). Without it the site is a net's only one, and options that follow
    from the net's depth must be given.
    norm: a factory (dim, layout) -> module that replaces LN in the forms that allow it.
    given: the connection's own options, see `options(name)`.
    Raises ValueError for an unknown name or option, a value out of range, a norm that cannot be chosen, or a missing
    depth.
    """
    from skipln.seam.connection import LAYOUTS, Place

    entry = registry.find(name)
    if layout not in LAYOUTS:
        raise ValueError(f"layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
    chosen = registry.check(name, given)
    derived = [option for option, value in chosen.items() if value is None]
    if place is None and derived:
        raise ValueError(f"{name} needs the depth of the net: give place=Place(…), or {' and '.join(derived)}")
    if norm is not None:
        if not takes_norm(name):
            raise ValueError(f"{name} has no norm to choose: leave norm at its default")
        chosen["norm"] = norm
    made = entry.kind(dim, layout=layout, place=place or Place(), **entry.fixed, **chosen)
    made.name = name
    return made
