"""Translation of a list of sentences with an encoder-decoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from skipln.decode.beam import Hypothesis, Rules, beam_search
from skipln.decode.threads import side_by_side
from skipln.models.transformer import Transformer
from skipln.ops import best_words
from skipln.system.progress import progress_bar

DECODERS = 4  # at most, side by side: more would mostly wait for Python's lock
WORTH = 128  # hypotheses that justify one more decoder
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
SHARE = 2_000  # sentences that a decoder searches before it takes others
ENCODED = 16  # sources that a CPU encodes together: few, so that there is little padding


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
    several threads, up to `DECODERS` searches side by side share the sentences.
    progress: the label of the progress bar; "" shows no bar.
    """
    model.eval()
    translations: list[list[Hypothesis]] = [[] for _ in sources]
    rules = search.rules(bos, eos, model.pad)
    on_cpu = model.embedding.weight.device.type == "cpu"
    several = on_cpu and not torch.is_autocast_enabled("cpu")  # autocast is this thread's alone
    most = min(DECODERS, torch.get_num_threads(), len(sources) * search.beam // WORTH) if several else 1
    decoders = max(1, most)
    bar = progress_bar(len(sources), "sentence", progress, shown=bool(progress), leave=False)
    writing = Lock()

    def translate_share(indices: list[int], check: Callable[[], None]) -> None:
        chosen = [[*map(int, sources[i]), eos] for i in indices]
        limits = [len(source) - 1 + search.extra_length for source in chosen]

        def begin(numbers: list[int]) -> TransformerRows:
            return TransformerRows(model, [chosen[n] for n in numbers], max(limits[n] for n in numbers) + 1)

        def after_step(ended: int) -> None:
            check()
            with writing:
                bar.update(ended)

        sizes = [len(source) for source in chosen]
        found = beam_search(begin, limits, sizes, search.max_tokens // search.beam, rules, after_step)
        for i, best in zip(indices, found, strict=True):
            translations[i] = best[:count]

    with bar, torch.inference_mode(), model.packed_weights(PRECISIONS[search.precision]):
        side_by_side(translate_share, shares([len(source) for source in sources], decoders), decoders)
    return translations


class TransformerRows:
    """The hypotheses of some sources, of at most `steps` tokens, as a Transformer continues them (`beam.Rows`)."""

    def __init__(self, model: Transformer, sources: Sequence[Sequence[int]], steps: int) -> None:
        self.model, self.device = model, model.embedding.weight.device
        longest, encoded = max(map(len, sources)), []
        together = ENCODED if self.device.type == "cpu" else len(sources)
        for start in range(0, len(sources), together):
            tensors = [torch.tensor(source) for source in sources[start : start + together]]
            tokens = pad_sequence(tensors, batch_first=True, padding_value=model.pad)
            memory, mask = model.encode(tokens.to(self.device))
            missing = longest - mask.size(1)
            encoded.append((F.pad(memory, (0, 0, 0, missing)), F.pad(mask, (0, missing))))
        memories, masks = zip(*encoded, strict=True)
        self.state = model.start(torch.cat(memories), torch.cat(masks), steps)

    def best(self, tokens: Tensor, count: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.model.advance(tokens.to(self.device), self.state)
        return best_words(hidden, self.model.project, min(count, self.model.embedding.num_embeddings), end)

    def select(self, rows: Tensor) -> None:
        self.state.select(rows.to(self.device))

    def join(self, other: "TransformerRows") -> None:
        self.state.join(other.state)


def shares(lengths: Sequence[int], decoders: int = 1) -> list[list[int]]:
    """Return the indices in as many shares for each decoder, each at most `SHARE` sentences, from long to short.

    They are dealt to and fro, so that all shares take about as long and no decoder waits for another.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    number = min(-(-len(order) // (SHARE * decoders)) * decoders, len(order))
    dealt: list[list[int]] = [[] for _ in range(number)]
    for start in range(0, len(order), max(1, number)):
        turn = order[start : start + number]
        for share, i in zip(dealt if start // number % 2 == 0 else reversed(dealt), turn, strict=False):
            share.append(i)
    return dealt
