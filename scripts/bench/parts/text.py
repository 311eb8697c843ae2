"""Random sentence pairs with the lengths of a real corpus, in batches as our runs draw them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from skipln.data.text.batches import token_batches
from skipln.data.text.corpus import ParallelCorpus, TokenCorpus, TokenWriter
from skipln.data.text.padding import Batch, collate

SPECIAL = 4  # smaller ids are padding and marks


def random_batches(vocabulary: int, max_tokens: int, count: int, mean_length: float, seed: int = 1) -> list[Batch]:
    """`count` batches of at most `max_tokens` padded tokens per side.

    Lengths are log-normal about `mean_length` with the spread of news and captions (σ = 0.5). A target's length differs
    from its source's by 15 % (standard deviation). Words follow Zipf's law over the vocabulary.
    """
    random = np.random.default_rng(seed)
    pairs = round(1.5 * count * max_tokens / mean_length) + 64
    source = random.lognormal(np.log(mean_length) - 0.125, 0.5, pairs).round().clip(3, 150).astype(int)
    target = (source * random.normal(1, 0.15, pairs)).round().clip(3, 150).astype(int)
    corpus = ParallelCorpus(_sentences(source, vocabulary, random), _sentences(target, vocabulary, random))
    chosen = token_batches(source, target, max_tokens=max_tokens, seed=seed, epoch=0)
    return [collate(corpus, chosen[k]) for k in range(count)]


def _sentences(lengths: np.ndarray, vocabulary: int, random: np.random.Generator) -> TokenCorpus:
    ranks = np.arange(1, vocabulary - SPECIAL + 1)
    words = random.choice(ranks + SPECIAL - 1, lengths.sum(), p=(1 / ranks) / (1 / ranks).sum())
    with TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        with TokenWriter(path, vocabulary) as writer:
            for sentence in np.split(words, lengths.cumsum()[:-1]):
                writer.add(sentence.tolist())
        return TokenCorpus(path)  # the mapped files outlive their names
