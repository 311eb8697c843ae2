"""The benchmark of text preparation: both sides do the same work."""

import pytest

from scripts.bench.parts.prepare_text import measure, synthetic
from scripts.bench.peers import moses_peer

pytest.importorskip("subword_nmt", reason="subword-nmt is not installed")


def test_the_peer_prepares_the_same_text(tmp_path):
    recipe = synthetic(tmp_path, pairs=120, merges=150, seed=3)
    said = measure(recipe, tmp_path, 1, tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    raw = {language: tmp_path / f"drawn.{language}" for language in recipe.languages}
    made = moses_peer.prepare(raw, tmp_path / "theirs", recipe.merges, recipe.max_tokens, recipe.max_ratio)
    assert said["source_words"] == 120 * 25
    for path in made.values():
        assert path.read_text("utf-8") == (tmp_path / "ours" / path.name).read_text("utf-8")
