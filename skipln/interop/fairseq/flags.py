"""`--skip rskip_ln --skip-lam 2 --skip-norm rms …`: the registries of connections and norms as fairseq flags."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from skipln import norms, skips
from skipln.errors import UserError
from skipln.seam.place import Place
from skipln.seam.profile import unprofiled
from skipln.system.printing import print_error
from skipln.tasks.connections import connections_of

DEFAULT = "xskip_ln"  # with its λ = 1 the post-LN Transformer, as in fairseq
# Flags of fairseq's Transformer that make no sense once sites join a layer's input to its output.
REFUSED = {
    "encoder_normalize_before": "the connection places the norm: --skip skip --skip-pre-norm true",
    "decoder_normalize_before": "the connection places the norm: --skip skip --skip-pre-norm true",
    "encoder_layerdrop": "a connection may carry a stream through every layer",
    "decoder_layerdrop": "a connection may carry a stream through every layer",
    "encoder_layers_to_keep": "a connection may carry a stream through every layer",
    "decoder_layers_to_keep": "a connection may carry a stream through every layer",
    "checkpoint_activations": "a connection may carry a stream that fairseq would not recompute",
    "no_cross_attention": "a decoder layer has three sites",
    "cross_self_attention": "a decoder layer has three sites",
}


def add_flags(parser: ArgumentParser) -> None:
    """Add --skip, --skip-norm and a flag for every option that a connection or a norm has."""
    group = parser.add_argument_group("skipln", "how a layer's input joins its output")
    group.add_argument("--skip", choices=skips.names(), help=f"connection at every residual site (default: {DEFAULT})")
    group.add_argument("--skip-norm", choices=norms.names(), help="norm inside the connection (default: its own, LN)")
    for prefix, registry in (("--skip", skips), ("--skip-norm", norms)):
        for option, takers in _options(registry).items():
            defaults = "; ".join(f"{name}: {default}" for name, default in takers.items())
            group.add_argument(f"{prefix}-{option.replace('_', '-')}", metavar="VALUE", help=f"defaults: {defaults}")


def chosen(args: Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (skip, norm), each a name with its given options. Raises UserError, one line that lists the choices."""
    given = vars(args)
    skip, norm = given.get("skip") or DEFAULT, given.get("skip_norm") or "layer"
    found = _given(skips, skip, "skip", given), _given(norms, norm, "skip_norm", given)
    refuse_what_fairseq_lacks(*found)
    for flag, why in REFUSED.items():
        if given.get(flag):
            raise UserError(f"--{flag.replace('_', '-')} is not for skipln_transformer: {why}")
    return found


def refuse_what_fairseq_lacks(skip: Mapping[str, Any], norm: Mapping[str, Any]) -> None:
    """Raise UserError if fairseq's trainer or layers have no place for something that a connection needs."""
    site = connections_of(skip, norm)(8, Place())
    name = skip["name"]
    if any(unprofiled(site)):
        raise UserError(f"{name} must profile the first batch, which fairseq cannot do: use engine=skipln")
    if hasattr(site, "after_step"):
        raise UserError(f"{name} acts after every update, which fairseq does not allow: use engine=skipln")
    site.init_branch(Fixed(name))


class Fixed:
    """A branch (`skipln.seam.connection.BranchModule`) of which only the matrices can be changed."""

    heads = 1

    def __init__(self, name: str) -> None:
        self.name = name

    def weights(self) -> dict[str, Tensor]:
        return {"hidden": torch.zeros(1, 1), "out": torch.zeros(1, 1)}

    def before_output(self, make: Callable[[int], nn.Module]) -> None:
        raise UserError(f"{self.name} puts a module into the branches, which fairseq does not allow: use engine=skipln")


def check(args: Namespace) -> None:
    """End fairseq's command with one line and exit status 2 if `chosen` refuses."""
    try:
        chosen(args)
    except UserError as error:
        print_error(error)
        sys.exit(2)


def flag_values(skip: Mapping[str, Any], norm: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments, by name, with which `chosen` returns `skip` and `norm`."""
    values = {"skip": skip["name"], "skip_norm": norm["name"]}
    for prefix, node in (("skip", skip), ("skip_norm", norm)):
        values |= {f"{prefix}_{key}": str(value) for key, value in node.items() if key != "name" and value is not None}
    return values


def _options(registry: Any) -> dict[str, dict[str, Any]]:
    """Return option -> {name: default} for all names that have the option."""
    found: dict[str, dict[str, Any]] = {}
    for name in registry.names():
        for option, default in registry.options(name).items():
            found.setdefault(option, {})[name] = default
    return found


def _given(registry: Any, name: str, prefix: str, args: Mapping[str, Any]) -> dict[str, Any]:
    defaults = registry.options(name)
    values: dict[str, Any] = {"name": name}
    for option in _options(registry):
        value = args.get(f"{prefix}_{option}")
        if value is not None:
            values[option] = _typed(str(value), defaults.get(option))
    return values


def _typed(text: str, default: Any) -> Any:
    """Convert a flag's text to its default's type, or leave it for the registry to say what is wrong with it."""
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
