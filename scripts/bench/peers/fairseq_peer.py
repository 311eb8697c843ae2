"""fairseq as a peer: its own trainer and beam search, in this process, with our batches and weights."""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from skipln.data.text.padding import Batch
from skipln.data.text.vocabulary import EOS, PAD
from skipln.interop.fairseq.symbols import FAIRSEQ_BOS, fairseq_ids, our_ids
from skipln.interop.fairseq.weights import Model, to_fairseq
from skipln.models.transformer import Transformer, TransformerShape, sinusoids

POST_LN = {"name": "xskip_ln", "lam": 1.0}  # fairseq's default


class FairseqPeer:
    """fairseq's Transformer with our sizes (post-LN, one embedding matrix), its task, criterion and trainer."""

    def __init__(self, vocabulary: int, shape: TransformerShape) -> None:
        from fairseq import options
        from fairseq.data import Dictionary
        from fairseq.dataclass.utils import convert_namespace_to_omegaconf
        from fairseq.tasks.translation import TranslationTask
        from hydra import version as hydra_version

        logging.disable(logging.INFO)
        warnings.filterwarnings("ignore", module="fairseq")
        self.shape = replace(shape, positions="fairseq")
        self._theirs, self._ours = (torch.from_numpy(ids(vocabulary)) for ids in (fairseq_ids, our_ids))
        parser = options.get_training_parser()
        sizes = {
            f"--{side}-{key}": value
            for side, layers in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers))
            for key, value in {
                "layers": layers, "embed-dim": shape.dim, "ffn-embed-dim": shape.feed_forward_dim,
                "attention-heads": shape.heads,
            }.items()
        }  # fmt: skip
        flags = {
            "--arch": "transformer", "--task": "translation", "--dropout": shape.dropout, "--optimizer": "adam",
            "--adam-betas": "(0.9, 0.98)", "--lr": 7e-4, "--lr-scheduler": "inverse_sqrt", "--warmup-updates": 4000,
            "--criterion": "label_smoothed_cross_entropy", "--label-smoothing": 0.1, "--max-tokens": 4096,
        } | sizes  # fmt: skip
        words = [str(word) for flag in flags.items() for word in flag]
        arguments = options.parse_args_and_arch(parser, ["", "--cpu", "--share-all-embeddings", *words])
        hydra_version.setbase("1.1")  # fairseq needs this version; our own configuration has set a later one
        self.config: Any = convert_namespace_to_omegaconf(arguments)
        dictionary = Dictionary()
        for i in range(len(dictionary), vocabulary):
            dictionary.add_symbol(str(i))
        self.task: Any = TranslationTask(self.config.task, dictionary, dictionary)
        self.model: Any = self.task.build_model(self.config.model)

    def trainer(self, batches: Sequence[Batch]) -> Callable[[int], object]:
        """k -> one update of fairseq's own Trainer on our batch k modulo their number."""
        from fairseq.trainer import Trainer

        samples = [self._sample(batch) for batch in batches]

        trainer = Trainer(self.config, self.task, self.model, self.task.build_criterion(self.config.criterion))
        trainer.begin_epoch(1)
        return lambda k: trainer.train_step([samples[k % len(samples)]])

    def load(self, ours: Transformer) -> None:
        """Load our weights and positions (post-LN sites only), so that both sides give the same translations."""
        self.model.load_state_dict(to_fairseq(ours.state_dict(), Model(self.shape, POST_LN, start="eos")))
        for stack in (self.model.encoder, self.model.decoder):
            table = stack.embed_positions
            first = table.padding_idx + 1  # fairseq counts positions from here
            table.weights = torch.cat((torch.zeros(first, ours.dim), sinusoids(1024, ours.dim)))

    def generator(self, beam: int, extra_length: int) -> Callable[[list[list[int]]], list[list[int]]]:
        """fairseq-generate's search (--lenpen 1) over sources (our ids), in length-sorted batches of at most 128."""
        options = self.config.generation
        options.beam, options.lenpen, options.max_len_a, options.max_len_b = beam, 1.0, 1, extra_length
        generator = self.task.build_generator([self.model.eval()], options)

        def translate(sources: list[list[int]]) -> list[list[int]]:
            translations: list[list[int]] = [[] for _ in sources]
            order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
            for start in range(0, len(order), 128):
                chosen = order[start : start + 128]
                tokens = _padded([[*sources[i], EOS] for i in chosen])
                sample = {"net_input": {"src_tokens": self._theirs[tokens], "src_lengths": (tokens != PAD).sum(1)}}
                found = self.task.inference_step(generator, [self.model], sample, prefix_tokens=None)
                for i, hypotheses in zip(chosen, found, strict=True):
                    translations[i] = self._ours[hypotheses[0]["tokens"]].tolist()[:-1]  # without its end
            return translations

        bos = FAIRSEQ_BOS  # fairseq's decoder starts with </s>, but our weights were trained with <s>
        generate = generator.generate
        generator.generate = lambda *args, **kw: generate(*args, **(kw | {"bos_token": bos}))
        return translate

    def _sample(self, batch: Batch) -> dict[str, Any]:
        lengths = (batch.source != PAD).sum(1)
        return {
            "id": torch.arange(len(batch)),
            "nsentences": len(batch),
            "ntokens": batch.target_tokens,
            "net_input": {
                "src_tokens": self._theirs[_left_padded(batch.source, lengths)],
                "src_lengths": lengths,
                "prev_output_tokens": self._theirs[batch.target_in],
            },
            "target": self._theirs[batch.target_out],
        }


def _padded(sources: list[list[int]]) -> Tensor:
    """Pad rows on the left, as fairseq's own data loader pads sources."""
    longest = max(map(len, sources))
    return torch.tensor([[PAD] * (longest - len(source)) + source for source in sources])


def _left_padded(tokens: Tensor, lengths: Tensor) -> Tensor:
    return _padded([row[:length].tolist() for row, length in zip(tokens, lengths.tolist(), strict=True)])
