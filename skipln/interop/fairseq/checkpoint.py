"""fairseq's checkpoints: read without executing anything, written as fairseq loads them, averaged and converted."""

import argparse
import hashlib
import json
import math
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from skipln.configuration.schema import RunConfig, TransformerModel, Translation
from skipln.engine.checkpoint import Checkpoints, load, save
from skipln.errors import UserError
from skipln.interop.fairseq.flags import chosen, flag_values
from skipln.interop.fairseq.weights import Model, Weights, from_fairseq, learned, to_fairseq
from skipln.models.transformer import Transformer, TransformerShape
from skipln.runs.folder import RunFolder
from skipln.system.files import atomic_write
from skipln.system.printing import one_line
from skipln.system.strict_yaml import read_dumped
from skipln.tasks.connections import connections_of

_STACKS = ("encoder", "decoder")
# What our model has only one form of: fairseq's argument -> the value it must have.
FIXED = {
    "activation_fn": "relu",
    "layernorm_embedding": False,
    "no_scale_embedding": False,
    "no_token_positional_embeddings": False,
    "adaptive_input": False,
    "adaptive_softmax_cutoff": None,
    "no_cross_attention": False,
    "cross_self_attention": False,
    "no_decoder_final_norm": False,
    "quant_noise_pq": 0,
}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, with its tensors on the CPU. Only tensors, plain values and argparse.Namespace are unpickled.

    Raises UserError if the file is missing or damaged, is not a fairseq checkpoint, or holds anything else.
    """
    try:
        unsafe = set(get_unsafe_globals_in_checkpoint(path)) - {"argparse.Namespace"}
        if unsafe:
            raise UserError(f"{path}: holds objects other than tensors and settings ({min(unsafe)}); it is not read")
        with safe_globals([argparse.Namespace]):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such checkpoint") from error
    except UserError:
        raise
    except Exception as error:  # torch may raise anything for foreign bytes
        raise UserError(f"{path}: damaged, or not a checkpoint ({type(error).__name__})") from error
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise UserError(f"{path}: not a checkpoint of fairseq: it has no model")
    return state


def model_of(state: dict[str, Any]) -> Model:
    """Return the model that a checkpoint's settings describe. Raises UserError for what our Transformer cannot be."""
    config = state.get("cfg")
    args = state.get("args") or (config.get("model") if isinstance(config, dict) else None)
    if isinstance(args, dict):
        args = Namespace(**args)
    if not isinstance(args, Namespace):
        raise UserError("its settings are not those of a fairseq Transformer (no cfg.model)")
    name = str(getattr(args, "arch", None) or getattr(args, "_name", ""))
    if not re.match(r"(skipln_)?transformer($|_(tiny|base|big|iwslt|wmt|vaswani))", name):
        raise UserError(f"a checkpoint of another architecture: {name or 'unnamed'}; only transformer can be read")
    if not name.startswith("skipln_") and any(getattr(args, f"{s}_normalize_before", False) for s in _STACKS):
        args = Namespace(**{**vars(args), "skip": "skip", "skip_pre_norm": "true"})
        if not all(getattr(args, f"{stack}_normalize_before", False) for stack in _STACKS):
            raise UserError("a checkpoint of another architecture: norms before the branches of one stack only")
        for stack in _STACKS:
            setattr(args, f"{stack}_normalize_before", False)
    for key in ("encoder_layerdrop", "decoder_layerdrop", "checkpoint_activations"):  # these concern only training
        setattr(args, key, 0)
    for key, value in FIXED.items():
        if getattr(args, key, value) != value:
            raise UserError(f"a checkpoint of another architecture: {key}={getattr(args, key)}, ours has {value}")
    sizes: dict[str, Any] = {f"{stack}_layers": getattr(args, f"{stack}_layers", 0) for stack in _STACKS}
    for ours, theirs in (("dim", "embed_dim"), ("feed_forward_dim", "ffn_embed_dim"), ("heads", "attention_heads")):
        encoder, decoder = (getattr(args, f"{stack}_{theirs}", None) for stack in _STACKS)
        if encoder != decoder or encoder is None:
            raise UserError(
                f"a checkpoint of another architecture: {theirs} is {encoder} and {decoder}, ours must be the same"
            )
        sizes[ours] = encoder
    for key, value in sizes.items():
        if type(value) is not int or value < 1:
            raise UserError(f"its settings are not those of a Transformer: {key}={value!r}")
    tables = getattr(args, "encoder_learned_pos", False)
    skip, norm = chosen(args)
    shape = TransformerShape(
        **sizes,
        dropout=float(getattr(args, "dropout", 0.0)),
        attention_dropout=float(getattr(args, "attention_dropout", 0.0)),
        activation_dropout=float(getattr(args, "activation_dropout", 0.0)),
        positions="paper" if tables else "fairseq",
    )
    return Model(shape, skip, norm, start="bos" if tables else "eos")


def model_arguments(model: Model) -> dict[str, Any]:
    """Return fairseq's arguments for `model` by name, for its own `transformer` if that is the same, else for ours."""
    shape = model.shape
    arguments: dict[str, Any] = {"arch": "transformer" if model.own else "skipln_transformer"}
    for stack in _STACKS:
        arguments |= {
            f"{stack}_layers": getattr(shape, f"{stack}_layers"),
            f"{stack}_embed_dim": shape.dim,
            f"{stack}_ffn_embed_dim": shape.feed_forward_dim,
            f"{stack}_attention_heads": shape.heads,
            f"{stack}_normalize_before": model.own == "pre",
            f"{stack}_learned_pos": learned(model),
        }
    rates = {key: getattr(shape, key) for key in ("dropout", "attention_dropout", "activation_dropout")}
    flags = {} if model.own else flag_values(model.skip, model.norm)
    return {**arguments, **rates, **flags, "share_all_embeddings": True}


def write_checkpoint(path: Path, weights: Weights, model: Model, languages: tuple[str, str] = ("en", "de")) -> None:
    """Write our weights as a checkpoint for fairseq-generate, and for fairseq-train --finetune-from-model."""
    task = {"_name": "translation", "data": "", "source_lang": languages[0], "target_lang": languages[1]}
    history = {"criterion_name": "LabelSmoothedCrossEntropyCriterion", "optimizer_name": "FairseqAdam"}
    state = {
        "args": None,
        "cfg": {"model": Namespace(**model_arguments(model)), "task": task},
        "model": to_fairseq(weights, model),
        "optimizer_history": [{**history, "lr_scheduler_state": {}, "num_updates": 0}],
        "extra_state": {"train_iterator": {"epoch": 1}},
        "last_optimizer_state": {},
    }
    with atomic_write(path) as file:
        torch.save(state, file)


def average(paths: Sequence[Path], out: Path) -> Weights:
    """Write a checkpoint with the mean of the weights in `paths` and the last one's settings. Return the weights."""
    states = [read_checkpoint(path) for path in paths]
    last = states[-1]
    last["model"] = {
        name: torch.stack([state["model"][name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in last["model"].items()
    }
    last["last_optimizer_state"] = {}
    with atomic_write(out) as file:
        torch.save(last, file)
    return last["model"]


def import_checkpoint(path: Path, folder: Path) -> Model:
    """Convert a fairseq checkpoint to weights.pt and model.yaml in `folder`. Raises UserError for what is not ours."""
    state = read_checkpoint(path)
    try:
        model = model_of(state)
        _check_weights(state["model"], model)
        weights = from_fairseq(state["model"], model)
        Transformer(len(weights["embedding.weight"]), model.shape, _sites(model)).load_state_dict(weights)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # settings and weights may be of any type, and any error can follow
        reason = (str(error).splitlines() or [""])[-1].strip() or type(error).__name__
        raise UserError(f"{path}: its weights do not fit its settings ({one_line(reason)})") from error
    save(folder / "weights.pt", weights, _owner(model))
    with atomic_write(folder / "model.yaml", "w") as text:
        yaml.safe_dump(asdict(model), text, sort_keys=False)
    return model


def _check_weights(found: dict[str, Any], model: Model) -> None:
    """Raise UserError if the settings promise more than the weights hold, before a net of that size is built."""
    if odd := [name for name, value in found.items() if not isinstance(name, str) or not isinstance(value, Tensor)]:
        raise UserError(f"its weights hold something else: {odd[0]}")
    shape = model.shape
    if not all(math.isfinite(float(value.sum())) for value in found.values() if value.is_floating_point()):
        raise UserError("its weights are not finite")
    if min(shape.dim, shape.heads, shape.feed_forward_dim) < 1 or shape.dim % shape.heads:
        raise UserError(f"its settings say {shape.dim} channels and {shape.heads} heads")
    if max(shape.dim, shape.feed_forward_dim) > max((max(v.shape, default=0) for v in found.values()), default=0):
        raise UserError(f"its settings say {shape.dim} channels, which no weight has")


def load_imported(folder: Path) -> tuple[Transformer, Model]:
    """Load what `import_checkpoint` wrote, in evaluation mode. Translate with bos=EOS if the model's start is "eos"."""
    try:
        content = read_dumped(folder / "model.yaml")
        model = Model(**{**content, "shape": TransformerShape(**content["shape"])})
        mine = _owner(model)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}/model.yaml: damaged; convert the checkpoint again") from error
    weights = load(folder / "weights.pt", mine)
    transformer = Transformer(len(weights["embedding.weight"]), model.shape, _sites(model))
    transformer.load_state_dict(weights)
    return transformer.eval(), model


def _owner(model: Model) -> dict[str, str]:
    """Return the owner of imported weights, their model: names and shapes would not show a changed λ in model.yaml."""
    content = json.dumps(asdict(model), sort_keys=True)
    return {"kind": "imported", "model": hashlib.sha256(content.encode()).hexdigest()}


def export_run(folder: Path, out: Path) -> Model:
    """Convert the averaged weights of a translation run to a fairseq checkpoint. Raises UserError for other runs."""
    try:
        config = RunConfig.model_validate(read_dumped(folder / "config.yaml"))
        content = config.model_dump()
        model = model_of_config(content)
        languages = (content["data"]["source"], content["data"]["target"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: not a translation run's folder ({type(error).__name__})") from error
    checkpoints = Checkpoints(RunFolder(folder).checkpoints, config.hash, config.training.average)
    weights = checkpoints.load_tested(RunFolder(folder).last_update())
    write_checkpoint(out, weights, model, languages)
    return model


def model_of_config(content: dict[str, Any]) -> Model:
    """Return the model of a run's configuration, given as plain values."""
    shape = TransformerModel.model_validate(content["model"])
    start = Translation.model_validate(content["task"]).start
    return Model(TransformerShape(**shape.model_dump(exclude={"kind"})), content["skip"], content["norm"], start)


def _sites(model: Model) -> Any:
    return connections_of(model.skip, model.norm)
