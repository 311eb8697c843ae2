"""Translation of a list of sentences with an encoder-decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from skipln.decode.beam import Hypothesis, Rules, beam_search
from skipln.decode.workers import forked
from skipln.models.transformer import Transformer
from skipln.ops import best_words

WORTH = 16  # sentences that justify one more process
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
SHARE = 2_000  # sentences that a process searches, one after the other, before it says what it found


@dataclass(frozen=True)
class Search:
    """How to search: beam width, length penalty and output length, at most the source's plus `extra_length` tokens."""

    beam: int = 4
    alpha: float = 0.6
    penalty: str = "gnmt"
    extra_length: int = 50
    max_tokens: int = 16384  # at a time: source tokens times beam
    precision: str = "fp32"  # of the products' factors: one of `PRECISIONS`

    def rules(self, bos: int, eos: int, pad: int) -> Rules:
        """Return the beam search's rules for these ids; padding is never produced."""
        return Rules(self.beam, bos, eos, (pad,), self.alpha, self.penalty)


def translate(
    model: Transformer, sources: Sequence[Sequence[int]], search: Search, *, bos: int, eos: int, progress: str = ""
) -> list[list[int]]:
    """Return the best translation (token ids without bos and eos) of every source, see `hypotheses`."""
    found = hypotheses(model, sources, search, bos=bos, eos=eos, progress=progress)
    return [best[0].tokens if best else [] for best in found]


@torch.inference_mode()
def hypotheses(
    model: Transformer,
    sources: Sequence[Sequence[int]],
    search: Search,
    *,
    bos: int,
    eos: int,
    count: int = 1,
    progress: str = "",
) -> list[list[Hypothesis]]:
    """Return the best `count` translations of every source (token ids without eos), in the given order, best first.

    Sentences are searched together with others of similar length; the result does not depend on these. On a CPU with
    several threads, as many single-thread processes share the sentences.
    progress: the label of the progress bar; "" shows no bar.
    """
    model.eval()
    translations: list[list[Hypothesis]] = [[] for _ in sources]
    on_cpu = model.embedding.weight.device.type == "cpu"
    workers = max(1, min(torch.get_num_threads(), len(sources) // WORTH)) if on_cpu else 1
    dealt = shares([len(source) for source in sources], workers)
    work = partial(_translate_share, model, sources, search, search.rules(bos, eos, model.pad), count)
    bar = tqdm(total=len(sources), desc=progress, unit="sentence", disable=not progress, leave=False)
    with bar, model.packed_weights(PRECISIONS[search.precision]):
        for indices, found in forked(work, dealt, min(workers, len(dealt))):
            for i, best in zip(indices, found, strict=True):
                translations[i] = best
            bar.update(len(indices))
    return translations


def _translate_share(
    model: Transformer, sources: Sequence[Sequence[int]], search: Search, rules: Rules, count: int, indices: list[int]
) -> tuple[list[int], list[list[Hypothesis]]]:
    """Return `indices` and the best `count` translations of the sources at these indices."""
    chosen = [[*map(int, sources[i]), rules.eos] for i in indices]
    limits = [len(source) - 1 + search.extra_length for source in chosen]

    def begin(numbers: list[int]) -> TransformerRows:
        return TransformerRows(model, [chosen[n] for n in numbers], max(limits[n] for n in numbers) + 1)

    with torch.inference_mode():
        found = beam_search(begin, limits, [len(source) for source in chosen], search.max_tokens // search.beam, rules)
    return indices, [of[:count] for of in found]


class TransformerRows:
    """The hypotheses of some sources, of at most `steps` tokens, as a Transformer continues them (`beam.Rows`)."""

    def __init__(self, model: Transformer, sources: Sequence[Sequence[int]], steps: int) -> None:
        self.model, self.device = model, model.embedding.weight.device
        tensors = [torch.tensor(source) for source in sources]
        batch = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=model.pad)
        self.state = model.start(*model.encode(batch.to(self.device)), steps)

    def best(self, tokens: Tensor, count: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.model.advance(tokens.to(self.device), self.state)
        return best_words(hidden, self.model.project, min(count, self.model.embedding.num_embeddings), end)

    def select(self, rows: Tensor) -> None:
        self.state.select(rows.to(self.device))

    def join(self, other: "TransformerRows") -> None:
        self.state.join(other.state)


def shares(lengths: Sequence[int], workers: int = 1) -> list[list[int]]:
    """Return the indices in as many shares for each worker, each at most `SHARE` sentences, from long to short.

    The shares are alike, so that no worker waits for another.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    number = -(-len(order) // (SHARE * workers)) * workers
    return [order[first::number] for first in range(min(number, len(order)))]
