"""Our Transformer in CTranslate2's format, for the two forms that it knows: post-LN and pre-LN.

Only names change: weights, the table of positions and the √dim of the embeddings are written as they are. Our search
never produces <pad> or the <s> that begins a target. In the output projection these have a bias of −10,000, so that
CTranslate2's search does not produce them either.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from torch import Tensor, nn

from skipln.data.text.vocabulary import BOS, PAD
from skipln.errors import UserError
from skipln.models.transformer import Transformer

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]  # the pieces of ids 0 to 3
NEVER = -1e4  # a logit whose probability is 0 in every precision, float16 included


def save_model(
    model: Transformer, form: Literal["post", "pre"], pieces: Sequence[str], folder: Path, *, start: str, positions: int
) -> None:
    """Write model.bin, config.json and the vocabulary into `folder`, which must exist.

    pieces: the piece of every id. start: what a target begins with, "<s>" or "</s>". positions: their number, which
    limits the length of a sentence. Raises UserError for a piece that stands for two ids.
    """
    import ctranslate2

    _check_pieces(pieces)
    encoder, decoder = list(model.encoder), list(model.decoder)
    heads = cast(Any, encoder[0]).self_attention.heads
    spec: Any = ctranslate2.specs.TransformerSpec.from_config(
        (len(encoder), len(decoder)), heads, pre_norm=form == "pre"
    )
    table = _array(model.sinusoids(positions, model.dim))
    for stack, embeddings in ((spec.encoder, spec.encoder.embeddings[0]), (spec.decoder, spec.decoder.embeddings)):
        embeddings.weight = _array(model.embedding.weight)
        stack.position_encodings.encodings = table
    spec.decoder.projection.weight = _array(model.embedding.weight)
    spec.decoder.projection.bias = np.zeros(len(pieces), np.float32)
    spec.decoder.projection.bias[[PAD, BOS] if start == SPECIAL[BOS] else [PAD]] = NEVER
    for theirs, ours in zip([*spec.encoder.layer, *spec.decoder.layer], [*encoder, *decoder], strict=True):
        _layer(theirs, ours)
    if form == "pre":
        _norm(spec.encoder.layer_norm, cast(Any, encoder[-1]).sites[-1].last_norm)
        _norm(spec.decoder.layer_norm, cast(Any, decoder[-1]).sites[-1].last_norm)
    spec.register_source_vocabulary(list(pieces))
    spec.register_target_vocabulary(list(pieces))
    spec.config.decoder_start_token = start
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = 1e-5
    spec.validate()
    spec.optimize()
    spec.save(str(folder))


def _check_pieces(pieces: Sequence[str]) -> None:
    seen: set[str] = set()
    for piece in pieces:
        if piece in seen:
            raise UserError(f"CTranslate2 tells pieces apart by their text, but {piece!r} stands for two ids")
        seen.add(piece)


def _layer(theirs: Any, ours: Any) -> None:
    """Copy one layer: each branch with the norm of its residual site."""
    attentions = [(theirs.self_attention, ours.self_attention, True)]
    if hasattr(ours, "source_attention"):
        attentions.append((theirs.attention, ours.source_attention, False))
    for spec, attention, itself in attentions:
        if itself:  # one matrix computes queries, keys and values from one input
            for part in ("weight", "bias"):
                query, rest = getattr(attention.query, part), getattr(attention.key_value, part)
                setattr(spec.linear[0], part, np.concatenate((_array(query), _array(rest))))
        else:
            _linear(spec.linear[0], attention.query)
            _linear(spec.linear[1], attention.key_value)
        _linear(spec.linear[-1], attention.out)
    _linear(theirs.ffn.linear_0, ours.feed_forward[0])
    _linear(theirs.ffn.linear_1, ours.feed_forward[-1])
    for spec, site in zip([*(found for found, _, _ in attentions), theirs.ffn], ours.sites, strict=True):
        _norm(spec.layer_norm, site.get_submodule(site.norm_of_sum or "norm"))


def _linear(spec: Any, module: nn.Linear) -> None:
    spec.weight, spec.bias = _array(module.weight), _array(module.bias)


def _norm(spec: Any, module: nn.Module) -> None:
    spec.gamma, spec.beta = _array(cast(Tensor, module.weight)), _array(cast(Tensor, module.bias))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().contiguous().numpy()
