"""Attentions by name, behind the seam of `skipln.seam.attention`; importing this package imports none of them."""

from functools import partial
from typing import TYPE_CHECKING, Any

from skipln.seam.registry import Registry

if TYPE_CHECKING:
    from skipln.seam.attention import MakeAttention

registry = Registry("attention", "skipln.attention", structural=("dim", "heads", "dropout"))
register, names, options = registry.register, registry.names, registry.options

__all__ = ["create", "names", "options", "register", "registry"]


def create(name: str = "softmax", **given: Any) -> "MakeAttention":
    """Return a factory (dim, heads, dropout) -> attention. Raises ValueError for an unknown name or option."""
    entry = registry.find(name)
    return partial(entry.kind, **entry.fixed, **registry.check(name, given))
