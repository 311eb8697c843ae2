"""Batches of sentences of similar length; they depend on (lengths, max_tokens, seed, epoch) alone.

So training can resume at any batch of any epoch, and the two indices are all it has to save.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from skipln.errors import UserError


class Batches(Sequence[np.ndarray]):
    """The batches of one epoch; `batches[k]` is int64 [batch], the indices of its pairs."""

    def __init__(self, order: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> None:
        self._order, self._starts, self._stops = order, starts, stops

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, k):  # type: ignore[no-untyped-def]  # int -> array; a slice -> Batches
        if isinstance(k, slice):
            return Batches(self._order, self._starts[k], self._stops[k])
        return self._order[self._starts[k] : self._stops[k]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[k] for k in range(len(self)))


def token_batches(
    source_lengths: np.ndarray, target_lengths: np.ndarray, max_tokens: int, seed: int, epoch: int
) -> Batches:
    """Put every pair into one batch, such that each padded side of a batch has at most `max_tokens` tokens.

    `source_lengths` and `target_lengths`, int [pairs], do not include the end symbol, but the limit does: for each
    side, pairs × (longest + 1) <= `max_tokens`. Pairs are shuffled, sorted by length (stably, so that equal lengths
    stay shuffled) and cut into batches, which are shuffled too, all from (seed, epoch). Raises `UserError` when a
    single sentence is too long.
    """
    source = np.asarray(source_lengths, np.int64) + 1
    target = np.asarray(target_lengths, np.int64) + 1
    if len(source) != len(target):
        raise ValueError(f"{len(source)} source but {len(target)} target lengths")
    longest = int(max(source.max(initial=0), target.max(initial=0)))
    if longest > max_tokens:
        raise UserError(
            f"training.max_tokens={max_tokens} is less than the longest sentence, {longest} tokens with its end "
            "symbol; raise it or lower data.max_length"
        )
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(source))
    # Sort by target, then by source, up and down in turn: a batch across two target lengths has similar sources.
    zigzag = np.where(target % 2, source, longest - source)
    order = order[np.argsort((target * (longest + 1) + zigzag)[order], kind="stable")]
    cuts = _cut(source[order], target[order], max_tokens)
    shuffled = random.permutation(len(cuts) - 1)
    return Batches(order, cuts[:-1][shuffled], cuts[1:][shuffled])


def _cut(source: np.ndarray, target: np.ndarray, max_tokens: int) -> np.ndarray:
    """Return boundaries, int64 [batches + 1], of the longest runs that fit, greedily from the left; target ascends."""
    cuts, start, count = [0], 0, len(source)
    sizes = np.arange(1, max_tokens + 1)
    while start < count:
        window = slice(start, start + max_tokens // int(max(source[start], target[start])))  # more cannot fit
        longest = np.maximum(np.maximum.accumulate(source[window]), target[window])
        start += int(np.searchsorted(longest * sizes[: len(longest)], max_tokens, side="right"))
        cuts.append(start)
    return np.array(cuts, np.int64)
