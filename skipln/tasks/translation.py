"""Translation: parallel text, the encoder-decoder Transformer, label-smoothed cross-entropy, BLEU and chrF."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from skipln.configuration.schema import Catalogs, ParallelText, RunConfig, TextTraining, TransformerModel, Translation
from skipln.data.text import BOS, EOS, PAD, UNK, Batch, ParallelCorpus, TextData, collate, token_batches
from skipln.data.text.demo import catalogs
from skipln.data.text.raw import MODEL, VOCABULARY_FILES
from skipln.data.text.subwords import CODES, check_same_codes
from skipln.decode.translate import Search, translate
from skipln.errors import UserError
from skipln.models.transformer import Transformer, TransformerShape
from skipln.runs.folder import RunFolder
from skipln.runs.result import Data
from skipln.runs.weights import inputs_beside
from skipln.scores.bleu_tokeniser import bleu_metric, chosen
from skipln.system.files import atomic_write
from skipln.tasks.connections import make_attention, make_connections
from skipln.tasks.task import Loss, TestResult
from skipln.tasks.translation_score import scored


class TranslationTask:
    """Task (see `skipln.tasks.task.Task`) of one translation run."""

    unit = "tokens"

    def __init__(self, config: RunConfig) -> None:
        assert isinstance(config.task, Translation)  # create_task and the schema ensure all three
        assert isinstance(config.training, TextTraining) and isinstance(config.model, TransformerModel)
        self.config, self.options, self.workers = config, config.task, config.compute.loaders(False)
        self.max_tokens = config.training.max_tokens
        assert isinstance(config.data, Catalogs | ParallelText)
        self.tokeniser = chosen(self.options.tokeniser, config.data.target)
        self.data = prepare_text(config)
        self.start, self.end = first_and_last(self.options)
        self.search = search_of(self.options)

    def build(self) -> Transformer:
        return build_transformer(self.config, len(self.data.vocabulary))

    def save_inputs(self, folder: Path) -> None:
        for name in VOCABULARY_FILES:
            if (path := self.data.folder / name).is_file():
                with atomic_write(folder / name) as file:
                    file.write(path.read_bytes())

    def epoch(self, number: int) -> "CorpusBatches":
        return CorpusBatches(self.data.train, self.max_tokens, self.config.seed, number, self.start)

    def units(self, batch: Batch) -> int:
        return batch.target_tokens

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        smoothing = self.options.label_smoothing
        return Loss(*model(batch.source, batch.target_in, batch.target_out, smoothing))

    def validate(self, model: nn.Module) -> dict[str, float]:
        total = nll = units = 0.0
        device = next(model.parameters()).device
        for batch in CorpusBatches(self.data.valid, self.max_tokens, seed=0, epoch=0, start=self.start):
            loss = self.loss(model, batch.to(device))
            total, nll, units = total + loss.total.item(), nll + loss.nll.item(), units + batch.target_tokens
        metrics = {"valid/loss": total / units, "valid/nll": nll / units}
        if count := min(self.options.valid_sentences, len(self.data.valid)):
            with torch.autocast(device.type, enabled=False):
                outputs = self.translations(model, self.data.valid, count, replace(self.search, beam=1))
            metrics["valid/bleu"] = self._bleu(outputs, self.data.references("valid")[:count])
        return metrics

    def _bleu(self, outputs: list[str], references: list[str]) -> float:
        return float(bleu_metric(self.tokeniser).corpus_score(outputs, [references]).score)

    def test(self, model: nn.Module) -> TestResult:
        return self.score(self.translations(model, self.data.test, self._test_examples(), self.search, "translate"))

    def score(self, outputs: list[str]) -> TestResult:
        """BLEU and chrF of translations of the first sentences of the test set, whatever made them."""
        sources, references = (
            lines[: len(outputs)] for lines in (self.data.sources("test"), self.data.references("test"))
        )
        return scored(self.config, self.tokeniser, sources, references, outputs)

    def describe(self) -> Data:
        data = self.config.data
        return Data(name=data.name, fingerprint=self.data.fingerprint, test_examples=self._test_examples())

    def _test_examples(self) -> int:
        return min(self.options.test_sentences or len(self.data.test), len(self.data.test))

    def translations(
        self, model: nn.Module, corpus: ParallelCorpus, count: int, search: Search, progress: str = ""
    ) -> list[str]:
        assert isinstance(model, Transformer)
        vocabulary = self.data.vocabulary
        sources = [corpus.source[i].tolist() for i in range(count)]
        found = translate(model, sources, search, bos=self.start, eos=self.end, progress=progress)
        # Each translation is one line, whatever bytes a barely trained model produces.
        return [" ".join(vocabulary.decode(tokens).split()) for tokens in found]


class CorpusBatches(Sequence[Batch]):
    """The micro-batches of one epoch, collated when they are read."""

    def __init__(self, corpus: ParallelCorpus, max_tokens: int, seed: int, epoch: int, start: int = BOS) -> None:
        self.corpus, self.start = corpus, start
        lengths = corpus.source.lengths, corpus.target.lengths
        self.indices = token_batches(*lengths, max_tokens=max_tokens, seed=seed, epoch=epoch)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, k: Any) -> Any:
        return collate(self.corpus, self.indices[k], self.start)


def prepare_text(config: RunConfig) -> TextData:
    """Fetch or find the text of `config.data` and encode it in the cache. Raises UserError as the sources do."""
    data, cache = config.data, Path(config.paths.cache)
    assert isinstance(data, Catalogs | ParallelText)  # the schema ensures it
    if data.kind == "catalogs":
        folder, prefixes = catalogs.prepare(cache), {"train": "train", "valid": "valid", "test": "test"}
    else:
        folder, prefixes = Path(data.dir), {"train": data.train, "valid": data.valid, "test": data.test}
    languages = {"source": data.source, "target": data.target}
    sizes = {"vocab_size": data.vocabulary, "max_length": data.max_length}
    encoding = "sentencepiece" if data.kind == "catalogs" else data.encoding
    inputs = _inputs_of_weights(config)
    if inputs and not (inputs / (MODEL if encoding == "sentencepiece" else CODES)).is_file():
        raise UserError(
            f"init_from={config.init_from}: these weights are not of data.encoding={encoding} (there: "
            f"{', '.join(sorted(path.name for path in inputs.iterdir()))}); give those of a run on such text"
        )
    if inputs and encoding != "sentencepiece":
        check_same_codes(inputs, folder)
    vocabulary = inputs / MODEL if inputs and encoding == "sentencepiece" else None
    options: dict[str, Any] = {**languages, **prefixes, **sizes, "vocabulary": vocabulary}
    return TextData.prepare(folder, encoding=encoding, cache=cache, **options)


def _inputs_of_weights(config: RunConfig) -> Path | None:
    """The folder with the vocabulary of the weights that a run starts from; None if it starts from new weights.

    A run that has begun has its own copy. Raises UserError if there is no such folder.
    """
    if not config.init_weights:
        return None
    if (own := RunFolder(config.folder).inputs).is_dir():
        return own
    if found := inputs_beside(Path(config.init_from)) if config.init_from else None:
        return found
    raise UserError(
        f"init_from={config.init_from}: there is no inputs/ with its vocabulary beside it, and these weights are "
        "useless with another one: give the folder of a run or of an export"
    )


def build_transformer(config: RunConfig, vocabulary: int) -> Transformer:
    """The model of a configuration, freshly initialised, for a vocabulary of the given size."""
    connections, attention = make_connections(config, "btc"), make_attention(config)
    return Transformer(vocabulary, shape_of(config), connections, PAD, UNK, attention)


def shape_of(config: RunConfig) -> TransformerShape:
    """The sizes of a configuration's model."""
    assert isinstance(config.model, TransformerModel)
    return TransformerShape(**config.model.model_dump(exclude={"kind"}))


def search_of(options: Translation) -> Search:
    """The beam search of a task."""
    return Search(
        options.beam,
        options.length_penalty,
        options.penalty,
        options.extra_length,
        precision=options.decode_precision,
    )


def first_and_last(options: Translation) -> tuple[int, int]:
    """The token ids with which a target begins and ends."""
    return {"bos": BOS, "eos": EOS}[options.start], EOS
