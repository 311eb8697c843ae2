"""A batch of sentence pairs as padded tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from skipln.data.text.corpus import ParallelCorpus, TokenCorpus
from skipln.data.text.vocabulary import BOS, EOS, PAD


@dataclass(frozen=True)
class Batch:
    """Token ids, int64, padded on the right with `PAD`. Position t reads `target_in` up to `target_in[:, t]` and must
    predict `target_out[:, t]`."""

    source: torch.Tensor  # [B, S]: tokens, EOS
    target_in: torch.Tensor  # [B, T]: BOS, tokens
    target_out: torch.Tensor  # [B, T]: tokens, EOS

    def __len__(self) -> int:
        """Return the number of sentence pairs."""
        return len(self.source)

    @property
    def source_tokens(self) -> int:
        """Count the source tokens, without padding but with end symbols. On a GPU this waits for the device."""
        return int((self.source != PAD).sum())

    @property
    def target_tokens(self) -> int:
        """Count the tokens to predict, without padding but with end symbols. On a GPU this waits for the device."""
        return int((self.target_out != PAD).sum())

    def pin_memory(self) -> "Batch":
        """Return the batch in page-locked memory. DataLoader looks for a method of this name."""
        return Batch(self.source.pin_memory(), self.target_in.pin_memory(), self.target_out.pin_memory())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on a device."""
        tensors = (self.source, self.target_in, self.target_out)
        return Batch(*(tensor.to(device, non_blocking=non_blocking) for tensor in tensors))


def collate(corpus: ParallelCorpus, indices: Sequence[int] | np.ndarray, start: int = BOS) -> Batch:
    """Make one batch of the pairs `indices` (int [B], at least one) of a corpus, in that order.

    start: the token with which a target begins.
    """
    target = _padded(corpus.target, indices)
    return Batch(_ended(_padded(corpus.source, indices)), _begun(target, start), _ended(target))


def _padded(corpus: TokenCorpus, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return sentences as int64 [B, longest + 2]: they start in column 1, with `PAD` around them."""
    chosen = np.asarray(indices)
    lengths = corpus.lengths[chosen]
    ids = np.full((len(chosen), int(lengths.max()) + 2), PAD, np.int64)
    ids[:, 1:-1][np.arange(lengths.max()) < lengths[:, None]] = np.concatenate([corpus[i] for i in chosen])
    return ids


def _begun(padded: np.ndarray, start: int) -> torch.Tensor:
    ids = padded[:, :-1].copy()
    ids[:, 0] = start
    return torch.from_numpy(ids)


def _ended(padded: np.ndarray) -> torch.Tensor:
    ids = padded[:, 1:].copy()
    ids[np.arange(len(ids)), (ids != PAD).sum(axis=1)] = EOS
    return torch.from_numpy(ids)
