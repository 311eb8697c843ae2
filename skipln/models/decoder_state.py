"""The incremental state of a batch of translations."""

import torch
from torch import Tensor

from skipln.seam.attention import State


class DecoderState:
    """What each decoder layer keeps of the source and of the positions so far, and how many there are (`step`).

    Every sentence has the same number of rows, side by side; they share what is kept of the source.
    """

    def __init__(self, rows: int, sources: list[State], pasts: list[State], device: torch.device) -> None:
        self.step, self.sources, self.pasts = 0, sources, pasts
        self.sentences = torch.arange(rows, device=device)  # [rows]: whose source a row reads
        self.kept = rows  # sources of sentences

    def select(self, rows: Tensor) -> None:
        """Keep, repeat or reorder the batch's rows: row i becomes the old row rows[i]."""
        self.sentences, kept = _shared(self.sentences[rows])
        for past in self.pasts:
            past.select(rows)
        if len(kept) != self.kept or not torch.equal(kept, torch.arange(len(kept), device=kept.device)):
            self.kept = len(kept)
            for source in self.sources:
                source.select(kept)


def _shared(sentences: Tensor) -> tuple[Tensor, Tensor]:
    """Renumber the sentence of each row; returns that and the old numbers, one for each source that is needed.

    Rows of one sentence share a source where every sentence has as many, side by side; else each row gets its own.
    """
    old, new, counts = sentences.unique_consecutive(return_inverse=True, return_counts=True)
    if len(counts) and not bool((counts == counts[0]).all()):
        return torch.arange(len(sentences), device=sentences.device), sentences
    return new, old
