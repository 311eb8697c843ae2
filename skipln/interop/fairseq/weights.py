"""Weights of our Transformer under fairseq's names, and back.

The two differ in these conventions:

- Ids below 4 (see `symbols`): the rows of the embedding are permuted.
- fairseq has separate matrices for the projections of keys and values; ours has one.
- fairseq's sinusoids have other frequencies and count from 2 (`skipln.models.transformer.tensor2tensor_sinusoids`).
  Ours become its table of learned positions (`--encoder-learned-pos --decoder-learned-pos`), row 2 + t for position t.
- fairseq's decoder begins with </s> instead of <s>. Position 0 always belongs to the begin symbol, so the first row of
  the decoder's table takes the difference of the two, √dim · (E[<s>] − E[</s>]), which leaves the sums the same.
- fairseq's embedding of <pad> is zero and ours is not, which counts in the softmax; either keeps the row it had.
- Named norms: `sites.j.norm` of skip=xskip_ln skip.lam=1 (post-LN) and of skip=skip skip.pre_norm=true (pre-LN) become
  fairseq's own, so that its own `transformer` takes them; other connections keep our names (`skipln_transformer`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from skipln.errors import UserError
from skipln.interop.fairseq.symbols import FAIRSEQ_BOS, FAIRSEQ_EOS, FAIRSEQ_PAD, fairseq_ids, our_ids
from skipln.models.transformer import POSITIONS, TransformerShape
from skipln.seam.place import stack_of
from skipln.tasks.connections import connections_of, field_form

Weights = dict[str, Tensor]
TABLE = 1024  # positions of a learned table, fairseq's default --max-source-positions and --max-target-positions
PARTS = {  # our part, fairseq's part, and fairseq's norm for it
    "encoder": [("self_attention", "self_attn", "self_attn_layer_norm"), ("feed_forward", "fc", "final_layer_norm")],
    "decoder": [
        ("self_attention", "self_attn", "self_attn_layer_norm"),
        ("source_attention", "encoder_attn", "encoder_attn_layer_norm"),
        ("feed_forward", "fc", "final_layer_norm"),
    ],
}


@dataclass(frozen=True)
class Model:
    """A Transformer without its weights: sizes, connection and norm (each a name with options), and begin symbol."""

    shape: TransformerShape
    skip: dict[str, Any]
    norm: dict[str, Any] = field(default_factory=lambda: {"name": "layer"})
    start: str = "bos"

    @property
    def own(self) -> str:
        """ "post" or "pre" if fairseq's own Transformer is this model, else "".

        Others of the same form (rskip_ln with λ = 1, pre_ln) keep their names, so that converting back restores them.
        """
        return field_form(self.skip, self.norm) if self.skip["name"] in ("xskip_ln", "skip") else ""


def to_fairseq(weights: Weights, model: Model) -> Weights:
    """Convert our state_dict to that of fairseq's `transformer` (if `model.own`) or of `skipln_transformer`."""
    embedding = weights["embedding.weight"]
    theirs: Weights = {}
    for ours, name in _names(model):
        value = weights[ours]
        if isinstance(name, tuple):
            theirs |= zip(name, value.chunk(2), strict=True)
        else:
            theirs[name] = value
    for ours in weights.keys() - {ours for ours, _ in _names(model)} - {"embedding.weight"}:
        raise UserError(f"{ours}: fairseq has no place for these weights, or they are not of the run's configuration")
    rows = embedding[torch.from_numpy(our_ids(len(embedding)))]
    for name in ("encoder.embed_tokens", "decoder.embed_tokens", "decoder.output_projection"):
        theirs[f"{name}.weight"] = rows.clone()
    for stack in PARTS:
        theirs[f"{stack}.version"] = torch.tensor([3.0])
    if learned(model):
        theirs |= _learned_positions(rows, model)
    return {name: value.contiguous() for name, value in theirs.items()}


def from_fairseq(theirs: Weights, model: Model) -> Weights:
    """Convert fairseq's state_dict to ours. `model.shape.positions` and `model.start` say what it was trained with.

    Raises UserError if weights are missing, left over, of another shape, or not shared as ours are.
    """
    theirs = {name: value for name, value in theirs.items() if not name.endswith((".version", "._float_tensor"))}
    rows = _shared_embedding(theirs)
    weights = {"embedding.weight": rows[torch.from_numpy(fairseq_ids(len(rows)))]}
    if learned(model):
        _check_positions(theirs, rows, model)
    for stack in PARTS:  # checked before a site is made for every layer in the settings
        last = f"{stack}.layers.{getattr(model.shape, f'{stack}_layers') - 1}."
        if not any(name.startswith(last) for name in theirs):
            raise UserError(f"a checkpoint of another architecture: it has no {last.removesuffix('.')}")
    for ours, name in _names(model):
        parts = [name] if isinstance(name, str) else name
        if missing := [part for part in parts if part not in theirs]:
            raise UserError(f"a checkpoint of another architecture: it has no {missing[0]}")
        found = [theirs.pop(part) for part in parts]
        weights[ours] = torch.cat(found) if len(found) > 1 else found[0]  # torch.cat refuses scalars
    if theirs:
        raise UserError(f"a checkpoint of another architecture: {min(theirs)} has no counterpart")
    return weights


def learned(model: Model) -> bool:
    """Return whether fairseq needs tables of learned positions to compute what `model` does."""
    return model.shape.positions != "fairseq" or model.start != "eos"


def _names(model: Model) -> Iterator[tuple[str, str | tuple[str, str]]]:
    """Yield (our name, fairseq's) for all weights but embeddings and positions; a pair if fairseq has two matrices."""
    for stack, parts in PARTS.items():
        layers: int = getattr(model.shape, f"{stack}_layers")
        sites = _site_names(model, stack, [part for part, _, _ in parts])
        for layer in range(layers):
            ours, theirs = f"{stack}.{layer}", f"{stack}.layers.{layer}"
            for site, (part, name, norm) in enumerate(parts):
                for kind in ("weight", "bias"):
                    if part == "feed_forward":
                        yield f"{ours}.{part}.0.{kind}", f"{theirs}.{name}1.{kind}"
                        yield f"{ours}.{part}.3.{kind}", f"{theirs}.{name}2.{kind}"
                    else:
                        projection = f"{theirs}.{name}"
                        yield f"{ours}.{part}.query.{kind}", f"{projection}.q_proj.{kind}"
                        yield (
                            f"{ours}.{part}.key_value.{kind}",
                            (f"{projection}.k_proj.{kind}", f"{projection}.v_proj.{kind}"),
                        )
                        yield f"{ours}.{part}.out.{kind}", f"{projection}.out_proj.{kind}"
                    if model.own:
                        yield f"{ours}.sites.{site}.norm.{kind}", f"{theirs}.{norm}.{kind}"
                if not model.own:
                    for name_in_site in sites[layer][site]:
                        place = f".sites.{site}.{name_in_site}"
                        yield f"{ours}{place}", f"{theirs}{place}"
        if model.own == "pre":
            for kind in ("weight", "bias"):
                last = f"{stack}.{layers - 1}.sites.{len(parts) - 1}.last_norm.{kind}"
                yield last, f"{stack}.layer_norm.{kind}"


def _site_names(model: Model, stack: str, branches: list[str]) -> list[list[list[str]]]:
    """Return the names in each site's state_dict, layer by layer."""
    depths = {"encoder": model.shape.encoder_layers, "decoder": model.shape.decoder_layers}
    with torch.device("meta"):
        make = partial(connections_of(model.skip, model.norm), model.shape.dim)
        return [[list(site.state_dict()) for site in layer] for layer in stack_of(make, stack, branches, depths)]


def _learned_positions(rows: Tensor, model: Model) -> Weights:
    table = POSITIONS[model.shape.positions](TABLE, model.shape.dim)
    unused = torch.zeros(FAIRSEQ_PAD + 1, model.shape.dim)  # fairseq counts positions from pad + 1
    encoder = torch.cat((unused, table))
    decoder = encoder.clone()
    if model.start == "bos":
        decoder[FAIRSEQ_PAD + 1] += math.sqrt(model.shape.dim) * (rows[FAIRSEQ_BOS] - rows[FAIRSEQ_EOS]).float()
    return {"encoder.embed_positions.weight": encoder, "decoder.embed_positions.weight": decoder}


def _check_positions(theirs: Weights, rows: Tensor, model: Model) -> None:
    """Remove the two tables from `theirs`. Raises UserError unless they are those that `to_fairseq` writes."""
    for name, expected in _learned_positions(rows, model).items():
        found = theirs.pop(name, None)
        if found is None or found.shape != expected.shape or not torch.allclose(found, expected, atol=1e-5):
            raise UserError("learned positions: our Transformer has sinusoids, which this table does not hold")


def _shared_embedding(theirs: Weights) -> Tensor:
    rows = theirs.pop("encoder.embed_tokens.weight", None)
    if rows is None:
        raise UserError("a checkpoint of another architecture: it has no encoder.embed_tokens.weight")
    for name in ("decoder.embed_tokens.weight", "decoder.output_projection.weight"):
        other = theirs.pop(name, rows)
        if other.shape != rows.shape or not torch.equal(other, rows):
            raise UserError("its embeddings are not one matrix like ours: train with --share-all-embeddings")
    return rows
