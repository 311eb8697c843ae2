"""Peers get our model: with random weights they give the same greedy translations."""

import pytest
import torch

from skipln.data.text import BOS, EOS
from skipln.decode.translate import Search, translate
from skipln.models.transformer import Transformer, TransformerShape
from skipln.tasks.connections import connections_of


def test_ctranslate2_translates_as_we_do() -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed: make peers")
    from scripts.bench.peers.ctranslate2_peer import ctranslate2_search

    torch.manual_seed(0)
    shape = TransformerShape(encoder_layers=1, decoder_layers=1, dim=16, feed_forward_dim=24, heads=2)
    model = Transformer(60, shape, connections_of({"name": "xskip_ln", "lam": 1.0}, {"name": "layer"})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    sources = torch.randint(4, 60, (8, 9)).tolist()  # of equal length, since CTranslate2 has one limit for all
    found = ctranslate2_search(model, "float32", beam=1, extra_length=6)(sources)
    ours = translate(model, sources, Search(beam=1, alpha=1.0, penalty="power", extra_length=6), bos=BOS, eos=EOS)
    assert found == ours
    assert len({tuple(line) for line in found}) > 4
