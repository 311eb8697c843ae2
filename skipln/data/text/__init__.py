"""Text for translation: the demo corpus, a user's parallel files, vocabularies, token corpora and batches."""

from typing import TYPE_CHECKING, Any

from skipln.data.text.batches import Batches, token_batches
from skipln.data.text.corpus import ParallelCorpus, TokenCorpus, binarise
from skipln.data.text.dataset import TextData
from skipln.data.text.parallel import ParallelFiles
from skipln.data.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary

if TYPE_CHECKING:
    from skipln.data.text.padding import Batch, collate

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "UNK",
    "Batch",
    "Batches",
    "ParallelCorpus",
    "ParallelFiles",
    "TextData",
    "TokenCorpus",
    "Vocabulary",
    "binarise",
    "collate",
    "token_batches",
]


def __getattr__(name: str) -> Any:
    if name in ("Batch", "collate"):  # only these need torch, and preparing data should not wait for its import
        from skipln.data.text import padding

        return getattr(padding, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
