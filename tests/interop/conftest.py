"""The same model twice, ours and fairseq's, with the same weights."""

from argparse import Namespace
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from skipln.data.text.vocabulary import BOS, EOS, PAD
from skipln.models.transformer import Transformer, TransformerShape
from skipln.tasks.connections import connections_of

SHAPE = TransformerShape(2, 2, 32, 64, 4, dropout=0.0, positions="fairseq")
SIZE = 60


@pytest.fixture(scope="session")
def fairseq():
    """Import fairseq in this process, in which other tests compose our configuration."""
    return pytest.importorskip("fairseq", reason="fairseq is not installed (make peers)")


def peer(model, size: int = SIZE) -> Any:
    """Build fairseq's model from the arguments that our conversion writes."""
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

    import skipln.interop.fairseq.model  # noqa: F401  # registers skipln_transformer
    from skipln.interop.fairseq.checkpoint import model_arguments

    args = Namespace(**model_arguments(model))
    ARCH_CONFIG_REGISTRY[args.arch](args)
    dictionary = fairseq_dictionary(size)
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    return ARCH_MODEL_REGISTRY[args.arch].build_model(args, task)


def fairseq_dictionary(size: int) -> Any:
    from fairseq.data import Dictionary

    dictionary = Dictionary()
    for i in range(size - len(dictionary)):
        dictionary.add_symbol(f"w{i}")
    return dictionary


def ours(model, size: int = SIZE, seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    make = connections_of(model.skip, model.norm)
    built = Transformer(size, model.shape, make)
    with torch.no_grad():
        for parameter in built.parameters():  # so that swapped biases or gains would show
            parameter.add_(0.02 * torch.randn_like(parameter))
        built.embedding.weight[PAD] = 0.0  # fairseq's padding starts at zero and stays there
    return built


@dataclass
class Pair:
    """Both models, and batches for them."""

    model: Any
    ours: Transformer
    theirs: Any

    def batch(self, seed: int = 0, sentences: int = 5) -> tuple[Tensor, Tensor, Tensor]:
        """Return source, target_in and target_out, padded on the right. A target is its source without every fifth word
        of the vocabulary, and with each other word replaced by the next one, which can be learnt."""
        draw = torch.Generator().manual_seed(seed)
        start = {"bos": BOS, "eos": EOS}[self.model.start]
        lengths = torch.randint(1, 9, (sentences,), generator=draw).tolist()
        sources = [torch.randint(4, 14, (length,), generator=draw) for length in lengths]
        sides = sources, [source[source % 5 != 0] + 1 for source in sources]
        end, begin = torch.tensor([EOS]), torch.tensor([start])
        pad = torch.nn.utils.rnn.pad_sequence
        return (
            pad([torch.cat((s, end)) for s in sides[0]], batch_first=True, padding_value=PAD),
            pad([torch.cat((begin, t)) for t in sides[1]], batch_first=True, padding_value=PAD),
            pad([torch.cat((t, end)) for t in sides[1]], batch_first=True, padding_value=PAD),
        )


def make_pair(skip: dict[str, Any], norm: dict[str, Any] | None = None, shape=SHAPE, start: str = "eos") -> Pair:
    from skipln.interop.fairseq.weights import Model, to_fairseq

    model = Model(shape, skip, norm or {"name": "layer"}, start)
    mine, theirs = ours(model), peer(model)
    theirs.load_state_dict(to_fairseq(mine.state_dict(), model))
    return Pair(model, mine.eval(), theirs.eval())


POST_LN = {"name": "xskip_ln", "lam": 1.0}
PAPER = replace(SHAPE, positions="paper")
