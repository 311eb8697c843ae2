"""The incremental state of a batch of translations."""

import torch
from torch import Tensor

from skipln.seam.attention import State


class DecoderState:
    """What each decoder layer keeps of the source and of the positions so far; `positions` is each row's next.

    Every sentence has the same number of adjacent rows, which share what is kept of their source.
    """

    def __init__(self, rows: int, sources: list[State], pasts: list[State], device: torch.device) -> None:
        self.sources, self.pasts = sources, pasts
        self.positions = torch.zeros(rows, dtype=torch.int64, device=device)  # [rows]
        self.sentences = torch.arange(rows, device=device)  # [rows]: the source that each row reads
        self.kept = rows  # how many sources are kept

    def select(self, rows: Tensor) -> None:
        """Keep, repeat or reorder the batch's rows: row i becomes the old row rows[i]."""
        self.positions = self.positions.index_select(0, rows)
        self.sentences, kept = _shared(self.sentences.index_select(0, rows))
        for past in self.pasts:
            past.select(rows)
        if len(kept) != self.kept or not torch.equal(kept, torch.arange(len(kept), device=kept.device)):
            self.kept = len(kept)
            for source in self.sources:
                source.select(kept)

    def join(self, other: "DecoderState") -> None:
        """Append the rows of another state, each of which has taken a step; the sentences of both have as many rows."""
        self.positions = torch.cat((self.positions, other.positions))
        self.sentences = torch.cat((self.sentences, other.sentences + self.kept))
        self.kept += other.kept
        for mine, others in ((self.pasts, other.pasts), (self.sources, other.sources)):
            for state, of_other in zip(mine, others, strict=True):
                state.join(of_other)


def _shared(sentences: Tensor) -> tuple[Tensor, Tensor]:
    """Renumber the sentence of each row. Return the new numbers, and the old number of each source that is needed.

    The rows of a sentence share a source if every sentence has as many adjacent rows; otherwise each row gets its own.
    """
    old, new, counts = sentences.unique_consecutive(return_inverse=True, return_counts=True)
    if len(counts) and not bool((counts == counts[0]).all()):
        return torch.arange(len(sentences), device=sentences.device), sentences
    return new, old
