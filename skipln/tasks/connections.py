"""Connections and attentions as a configuration describes them."""

from collections.abc import Mapping
from typing import Any, Literal

from skipln import attention, norms, skips
from skipln.configuration.schema import RunConfig
from skipln.errors import UserError
from skipln.seam.attention import MakeAttention
from skipln.seam.connection import Connection, MakeConnection
from skipln.seam.place import Place


def make_connections(config: RunConfig, layout: str) -> MakeConnection:
    """(dim, place) -> connection, from `config.skip` and `config.norm`. Raises UserError as `connections_of` does."""
    return connections_of(config.skip, config.norm, layout)


def make_attention(config: RunConfig) -> MakeAttention:
    """(dim, heads, dropout) -> attention, from `config.attention`. Raises UserError as `connections_of` does."""
    try:
        return attention.create(**config.attention)
    except ValueError as error:
        raise UserError(str(error)) from error


def field_form(skip: Mapping[str, Any], norm: Mapping[str, Any]) -> Literal["post", "pre", ""]:
    """Which of the two usual Transformers a connection makes: post-LN, pre-LN, or "" for neither.

    Post-LN is LN(x + F(x)) at every site; pre-LN is x + F(LN x), with one more LN behind each stack. LN has its default
    options.
    """
    options = {**skips.options(skip["name"]), **skip}
    if norm.get("name") != "layer" or norm.get("eps", 1e-5) != 1e-5:
        return ""
    if skip["name"] in ("xskip_ln", "rskip_ln") and options["lam"] == 1:
        return "post"
    plain = skip["name"] == "skip" or (skip["name"] == "xskip" and options["lam"] == 1)
    return "pre" if skip["name"] == "pre_ln" or (plain and options["pre_norm"]) else ""


def connections_of(skip: Mapping[str, Any], norm: Mapping[str, Any], layout: str = "btc") -> MakeConnection:
    """(dim, place) -> connection. skip, norm: a name and options; options left out have their defaults.

    Raises UserError for an unknown name or option, and for a norm that nothing uses.
    """
    options = dict(skip)
    name = options.pop("name")
    chosen = dict(norm)
    factory = None

    def create(dim: int, place: Place) -> Connection:
        return skips.create(name, dim, layout=layout, place=place, norm=factory, **options)

    try:
        if {**norms.options("layer"), **chosen} != {"name": "layer", **norms.options("layer")}:
            factory = norms.create(chosen.pop("name"), **chosen)
        create(8, Place())
    except ValueError as error:
        raise UserError(str(error)) from error
    return create
