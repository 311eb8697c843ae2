"""Weights that a run starts from, read without executing anything and fitted strictly to its model."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from skipln import skips
from skipln.configuration.schema import RunConfig
from skipln.engine.seal import read_seal
from skipln.engine.weights.tensors import load_tensors
from skipln.errors import UserError
from skipln.runs.reading import read_config
from skipln.runs.weights import weights_file
from skipln.seam.attention import Attention
from skipln.seam.connection import Connection
from skipln.system.files import sha256
from skipln.system.printing import one_line

SHOWN = 6  # names of parameters that a line shows


def start_from_weights(model: nn.Module, config: RunConfig) -> None:
    """Load the weights of `config.init_from` into `model`; a line on stderr lists the parameters that stay as drawn.

    Raises UserError if the file is missing, damaged, not the one of `config.init_weights`, or does not fit.
    """
    if config.init_from is None:
        raise UserError(
            "init_weights: this run has no checkpoint to continue from and needs the weights: give init_from too"
        )
    path = weights_file(Path(config.init_from))
    if sha256(path) != config.init_weights:
        raise UserError(f"{path}: not the weights of init_weights={config.init_weights}")
    try:
        fitted = fit(read_weights(path), model, config.init_connections)
    except UserError as error:
        own = _of_their_run(path, config)
        raise UserError(f"{path}: {error}" + (f"; its own run has {own}" if own else "")) from error
    drawn = [name for name in model.state_dict() if name not in fitted]
    model.load_state_dict(fitted, strict=False)
    if drawn:
        print(f"init_from: {len(fitted):,} tensors are loaded; newly drawn are {_listed(drawn)}", file=sys.stderr)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read tensors by name to the CPU.

    Raises UserError, whose line lacks the path, for a file that is damaged or holds anything else.
    """
    if path.suffix == ".safetensors":
        return load_tensors(path)[0]
    try:
        read_seal(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # torch may raise anything for foreign bytes
        raise UserError(
            f"damaged, or holds more than weights, which is never executed ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise UserError(
            "not a model's weights; give a run's folder, its checkpoints/tested.pt, best.pt or weights-….pt"
        )
    return content


def _of_their_run(path: Path, config: RunConfig) -> str:
    """Return, as overrides, how the model of the run that made the weights differs from `config`; "" if unknown."""
    folder = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    content = read_config(folder) if (folder / "config.yaml").is_file() else {}
    found = []
    for group in ("model", "skip", "norm", "attention"):
        theirs, ours = content.get(group), config.model_dump()[group]
        for key, value in theirs.items() if isinstance(theirs, dict) else ():
            if "dropout" not in key and (key not in ours or ours[key] != value):
                found.append(f"{group}={value}" if key == "name" else f"{group}.{key}={value}".replace(" ", ""))
    return one_line(" ".join(found))


def fit(weights: Mapping[str, Tensor], model: nn.Module, connections: str) -> dict[str, Tensor]:
    """Return those of `weights` that `model` takes, under the model's names.

    connections: "same" matches all tensors of `weights` and `model` one to one. "new" leaves out the connections' own
    tensors, which stay as the model has them. "first_norm" takes of these only the norm of x + F(x), renamed as in this
    model. What an attention draws at random may be missing and then stays as it is.
    Raises UserError that lists what does not fit.
    """
    own, found = model.state_dict(), dict(weights)
    sites = {name: module for name, module in model.named_modules() if isinstance(module, Connection)}
    attentions = [(path, module) for path, module in model.named_modules() if isinstance(module, Attention)]
    drawn = {f"{path}.{name}" for path, attention in attentions for name in attention.draws}
    free = set(drawn)  # tensors of the model that may stay as they are
    if connections != "same":
        at_sites = {name: value for name, value in found.items() if _site(name, sites)}
        found = {name: value for name, value in found.items() if name not in at_sites}
        free = drawn | {name for name in own if _site(name, sites)}
    if connections == "first_norm":
        taken = _first_norms(at_sites, sites)
        found |= taken
        free = {
            name for name in free
            if not any(name.startswith(f"{path}.{site.norm_of_sum}.") for path, site in sites.items())
        }  # fmt: skip
    missing = [name for name in own if name not in found and name not in free]
    extra = [name for name in found if name not in own]
    shapes = [
        f"{name} {list(found[name].shape)} for {list(own[name].shape)}"
        for name in own
        if name in found and found[name].shape != own[name].shape
    ]
    kinds = (("missing", missing), ("left over", extra), ("of another shape", shapes))
    if wrong := [f"{kind}: {_listed(names)}" for kind, names in kinds if names]:
        raise UserError("does not fit this model; " + "; ".join(wrong))
    return found


def _site(name: str, sites: Mapping[str, Any]) -> str:
    """Return the site that a tensor belongs to, or ""."""
    return next((path for path in sites if name.startswith(f"{path}.")), "")


def _first_norms(weights: Mapping[str, Tensor], sites: Mapping[str, Connection]) -> dict[str, Tensor]:
    """Return the tensors of the norms of x + F(x) among the connections' `weights`, renamed as in `sites`."""
    if before := next((name for name in weights if ".last_norm." in name), ""):
        raise UserError(
            f"init_connections=first_norm: {before} belongs to a norm before the branches; use init_connections=new"
        )
    theirs = {entry.kind.norm_of_sum for entry in map(skips.registry.find, skips.names())} - {""}
    taken = {}
    for path, site in sites.items():
        if not site.norm_of_sum:
            raise UserError(
                f"init_connections=first_norm: {site.name} has no norm of x + F(x); use init_connections=new"
            )
        for norm in theirs:
            before = f"{path}.{norm}."
            for name, value in weights.items():
                if name.startswith(before):
                    taken[f"{path}.{site.norm_of_sum}.{name.removeprefix(before)}"] = value
    return taken


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
