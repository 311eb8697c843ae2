"""Weights in CTranslate2's format give our log-probabilities of given translations, for every form."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skipln.data.text.vocabulary import BOS, EOS, PAD
from skipln.errors import UserError
from skipln.interop.ctranslate2 import SPECIAL, save_model
from skipln.models.transformer import Transformer, TransformerShape
from skipln.tasks.connections import connections_of, field_form

SHAPE = TransformerShape(encoder_layers=2, decoder_layers=1, dim=16, feed_forward_dim=24, heads=2)
PIECES = [*SPECIAL, *map(str, range(4, 30))]
LAYER = {"name": "layer"}


def random_model(skip: dict, positions: str = "paper") -> Transformer:
    torch.manual_seed(1)
    model = Transformer(len(PIECES), replace(SHAPE, positions=positions), connections_of(skip, LAYER)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # gains and biases too
    return model


@pytest.mark.parametrize(
    ("skip", "form", "start", "positions"),
    [
        ({"name": "xskip_ln", "lam": 1.0}, "post", BOS, "paper"),
        ({"name": "rskip_ln", "lam": 1}, "post", EOS, "fairseq"),
        ({"name": "pre_ln"}, "pre", BOS, "fairseq"),
        ({"name": "skip", "pre_norm": True}, "pre", EOS, "paper"),
    ],
)
def test_ctranslate2_gives_our_log_probabilities(
    skip: dict, form: str, start: int, positions: str, tmp_path: Path
) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed: make peers")
    assert field_form(skip, LAYER) == form
    model = random_model(skip, positions)
    save_model(model, form, PIECES, tmp_path, start=SPECIAL[start], positions=40)  # type: ignore[arg-type]
    peer = ctranslate2.Translator(str(tmp_path), inter_threads=1, intra_threads=1)
    draw = np.random.default_rng(0)
    for length in (1, 7, 20):
        source, target = (draw.integers(4, len(PIECES), length).tolist() for _ in range(2))
        (found,) = peer.score_batch([[PIECES[i] for i in source]], [[PIECES[i] for i in target]])
        with torch.no_grad():
            logits = model(torch.tensor([[*source, EOS]]), torch.tensor([[start, *target]]))
        logits[:, [PAD, BOS] if start == BOS else [PAD]] = -torch.inf
        expected = logits.log_softmax(-1)[range(length + 1), [*target, EOS]]
        np.testing.assert_allclose(found.log_probs, expected.numpy(), atol=2e-4)


def test_ctranslate2_never_outputs_padding_or_begin_symbols(tmp_path: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed: make peers")
    model = random_model({"name": "pre_ln"})
    with torch.no_grad():
        model.embedding.weight[[PAD, BOS]] = 3 * model.embedding.weight[5:].sum(0)
    save_model(model, "pre", PIECES, tmp_path, start="<s>", positions=40)
    peer = ctranslate2.Translator(str(tmp_path), inter_threads=1, intra_threads=1)
    found = peer.translate_batch([["7", "8"]], beam_size=4, num_hypotheses=4, max_decoding_length=9)[0]
    assert {"<pad>", "<s>"}.isdisjoint(piece for hypothesis in found.hypotheses for piece in hypothesis)


@pytest.mark.parametrize(
    "skip",
    [
        {"name": "rskip_ln", "lam": 2},
        {"name": "xskip_ln", "lam": 2.0},
        {"name": "skip", "pre_norm": False},
        {"name": "xskip", "lam": 2.0, "pre_norm": True},
        {"name": "deepnorm"},
    ],
)
def test_other_connections_and_norms_have_no_form(skip: dict) -> None:
    assert field_form(skip, LAYER) == ""
    assert field_form({"name": "pre_ln"}, {"name": "rms"}) == ""
    assert field_form({"name": "pre_ln"}, {"name": "layer", "eps": 1e-6}) == ""


def test_a_piece_with_two_ids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'</s>' stands for two ids"):
        pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed: make peers")
        save_model(random_model({"name": "pre_ln"}), "pre", [*SPECIAL, "</s>"], tmp_path, start="<s>", positions=40)
