import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipln.data.text.batches import Batches, token_batches
from skipln.errors import UserError

LENGTHS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=120)
SEEDS = st.integers(0, 5)


def make(lengths: list[tuple[int, int]], max_tokens: int, seed: int, epoch: int) -> Batches:
    pairs = np.array(lengths, int).reshape(-1, 2)
    return token_batches(pairs[:, 0], pairs[:, 1], max_tokens, seed, epoch)


@given(LENGTHS, st.integers(31, 200), SEEDS, SEEDS)
def test_every_pair_comes_once_and_no_batch_is_too_big(
    lengths: list[tuple[int, int]], limit: int, seed: int, epoch: int
) -> None:
    batches = make(lengths, limit, seed, epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        for side in (0, 1):
            assert 0 < len(batch) * (max(lengths[i][side] for i in batch) + 1) <= limit


@given(LENGTHS, SEEDS, SEEDS)
def test_batches_can_be_read_from_any_index_without_state(
    lengths: list[tuple[int, int]], seed: int, epoch: int
) -> None:
    whole, again = make(lengths, 64, seed, epoch), make(lengths, 64, seed, epoch)
    assert len(whole) == len(again)
    for k in reversed(range(len(again))):
        assert whole[k].tolist() == again[k].tolist()
    assert [batch.tolist() for batch in again[1:]] == [batch.tolist() for batch in whole][1:]


def test_epochs_and_seeds_differ_in_composition_and_order() -> None:
    lengths = [(i % 7 + 3, i % 5 + 3) for i in range(400)]
    seen = {
        frozenset(frozenset(batch.tolist()) for batch in make(lengths, 100, seed, epoch))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(seen) == 9


def test_known_batches_stay_as_they_are() -> None:
    """Recorded runs must be repeatable, so another shuffle would need a new data format."""
    batches = make([(1, 2), (2, 2), (3, 1), (5, 6), (6, 5), (2, 3)], 16, seed=1, epoch=0)
    assert [batch.tolist() for batch in batches] == [[4, 3], [2, 0, 1, 5]]


def test_a_sentence_longer_than_a_batch_names_the_option() -> None:
    with pytest.raises(UserError, match=r"^training\.max_tokens=20 is less than the longest sentence, 21 tokens"):
        make([(3, 20)], 20, 0, 0)
    assert len(make([(3, 19)], 20, 0, 0)) == 1


def test_sides_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 source but 2 target"):
        token_batches(np.ones(1), np.ones(2), 10, 0, 0)


def test_an_index_out_of_range_is_an_error() -> None:
    with pytest.raises(IndexError):
        make([(1, 1)], 10, 0, 0)[1]


def test_batches_have_little_padding() -> None:
    random = np.random.default_rng(0)
    source = np.minimum(random.gamma(2, 13, 100_000).astype(int) + 1, 200)
    target = np.clip(source + random.integers(-5, 6, len(source)), 1, 200)
    batches = token_batches(source, target, 4096, 0, 0)
    for lengths in (source, target):
        padded = sum(len(batch) * (lengths[batch].max() + 1) for batch in batches)
        assert (lengths + 1).sum() / padded > 0.95
