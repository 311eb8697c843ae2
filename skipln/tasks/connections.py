"""Connections as a configuration describes them."""

from collections.abc import Callable

from skipln import norms, skips
from skipln.config import RunConfig
from skipln.errors import UserError
from skipln.skips.connection import Connection, Place


def make_connections(config: RunConfig, layout: str) -> Callable[[int, Place], Connection]:
    """(dim, place) -> connection, as `config.skip` and `config.norm` say.

    Raises UserError for a norm that nothing uses.
    """
    options = dict(config.skip)
    name = options.pop("name")
    chosen = dict(config.norm)
    norm = None
    if chosen != {"name": "layer", **norms.options("layer")}:
        norm = norms.create(chosen.pop("name"), **chosen)

    def create(dim: int, place: Place) -> Connection:
        return skips.create(name, dim, layout=layout, place=place, norm=norm, **options)

    try:
        create(1, Place())
    except ValueError as error:
        raise UserError(str(error)) from error
    return create
