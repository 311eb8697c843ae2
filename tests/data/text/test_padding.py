from pathlib import Path

import pytest
import torch

from skipln.data.text import BOS, EOS, PAD, Batch, ParallelCorpus, collate
from tests.data.text.test_corpus import write


@pytest.fixture
def corpus(tmp_path: Path) -> ParallelCorpus:
    sources, targets = [[10, 11, 12], [20], []], [[30], [40, 41], [50]]
    return ParallelCorpus(write(tmp_path / "a", sources), write(tmp_path / "b", targets))


def test_collate_by_hand(corpus: ParallelCorpus) -> None:
    batch = collate(corpus, [1, 0])
    assert batch.source.tolist() == [[20, EOS, PAD, PAD], [10, 11, 12, EOS]]
    assert batch.target_in.tolist() == [[BOS, 40, 41], [BOS, 30, PAD]]
    assert batch.target_out.tolist() == [[40, 41, EOS], [30, EOS, PAD]]
    assert (len(batch), batch.source_tokens, batch.target_tokens) == (2, 6, 5)
    assert {tensor.dtype for tensor in (batch.source, batch.target_in, batch.target_out)} == {torch.int64}


def test_an_empty_sentence_becomes_an_end_symbol(corpus: ParallelCorpus) -> None:
    assert collate(corpus, [2]).source.tolist() == [[EOS]]


def test_a_batch_moves_to_a_device(corpus: ParallelCorpus) -> None:
    moved = collate(corpus, [0]).to("meta")
    assert isinstance(moved, Batch)
    assert moved.source.device.type == moved.target_out.device.type == "meta"
