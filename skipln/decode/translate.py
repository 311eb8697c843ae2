"""Translation of a list of sentences with an encoder-decoder."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from skipln.decode.beam import Hypothesis, beam_search
from skipln.decode.workers import forked
from skipln.models.decoder_state import DecoderState
from skipln.models.transformer import Transformer

WORTH = 16  # sentences that justify one more process


@dataclass(frozen=True)
class Search:
    """How to search: beam width, length penalty and output length, at most the source's plus `extra_length` tokens."""

    beam: int = 4
    alpha: float = 0.6
    penalty: str = "gnmt"
    extra_length: int = 50
    max_tokens: int = 16384  # per batch: source tokens times beam


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

    Sentences are batched with others of similar length; the result does not depend on the batch. On a CPU with several
    threads, as many single-thread processes share the batches.
    progress: the label of the progress bar; "" shows no bar.
    """
    model.eval()
    translations: list[list[Hypothesis]] = [[] for _ in sources]
    on_cpu = model.embedding.weight.device.type == "cpu"
    workers = max(1, min(torch.get_num_threads(), len(sources) // WORTH)) if on_cpu else 1
    batches = length_batches([len(source) + 1 for source in sources], search.max_tokens // search.beam, workers)
    work = partial(_translate_batch, model, sources, search, bos, eos, count)
    with tqdm(total=len(sources), desc=progress, unit="sentence", disable=not progress, leave=False) as bar:
        for indices, found in forked(work, batches, min(workers, len(batches))):
            for i, best in zip(indices, found, strict=True):
                translations[i] = best
            bar.update(len(indices))
    return translations


def _translate_batch(
    model: Transformer,
    sources: Sequence[Sequence[int]],
    search: Search,
    bos: int,
    eos: int,
    count: int,
    indices: list[int],
) -> tuple[list[int], list[list[Hypothesis]]]:
    """Return `indices` and the best `count` translations of the sources at these indices."""
    device = model.embedding.weight.device
    batch = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor([*map(int, sources[i]), eos]) for i in indices], batch_first=True, padding_value=model.pad
    )
    with torch.inference_mode():
        memory, mask = model.encode(batch.to(device))
        limits = [len(sources[i]) + search.extra_length for i in indices]
        state = model.start(memory, mask, max(limits) + 1)
        found = beam_search(
            partial(_step, model, state),
            partial(_select, state),
            limits,
            beam=search.beam,
            bos=bos,
            eos=eos,
            banned=(model.pad,),
            alpha=search.alpha,
            penalty=search.penalty,
        )
    return indices, [of[:count] for of in found]


def _step(model: Transformer, state: DecoderState, tokens: Tensor) -> Tensor:
    return model.step(tokens.to(model.embedding.weight.device), state)


def _select(state: DecoderState, rows: Tensor) -> None:
    state.select(rows.to(state.sentences.device))


def length_batches(lengths: Sequence[int], max_tokens: int, workers: int = 1) -> list[list[int]]:
    """Return batches of indices of similar length, longest first; sentences × longest ≤ max_tokens, or one sentence.

    Every worker gets the same number of batches, and these are as even as possible, so that no worker waits long for
    another's last batch.
    """

    def filled(bound: int) -> list[list[int]]:
        batches: list[list[int]] = []
        for i in order:
            if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= bound:
                batches[-1].append(i)
            else:
                batches.append([i])
        return batches

    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    number = -(-len(filled(max_tokens)) // workers) * workers
    return filled(bisect_left(range(max_tokens), True, key=lambda bound: len(filled(bound)) <= number))
