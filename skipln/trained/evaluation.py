"""Evaluate a trained run on a test set that is given by name and folder, as in a run's configuration."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skipln.configuration.schema import Catalogs, ImageTraining, ParallelText, Photographs, RunConfig, Translation
from skipln.data.images.batches import ImageBatch
from skipln.data.prefetch import prefetched
from skipln.data.text.dataset import held_out
from skipln.data.text.demo import catalogs
from skipln.data.text.parallel import ParallelFiles
from skipln.engine.environment import describe
from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.result import Data, Result
from skipln.scores.bleu_tokeniser import chosen
from skipln.system.files import atomic_write
from skipln.tasks.classification import as_result, evaluated, held_out_images
from skipln.tasks.task import TestResult
from skipln.tasks.translation import search_of
from skipln.tasks.translation_score import scored
from skipln.trained.overrides import changed, require_test_set, scored_files
from skipln.trained.run import Run, load_run


def evaluate(folder: Path, overrides: list[str], device: str = "auto") -> tuple[Path, Result]:
    """Test the run in `folder` under its configuration with `overrides`; return the record's folder and the record.

    Raises UserError as `load_run` does, for a key outside data and task, and for data that does not fit the run.
    """
    run = load_run(folder, device)
    config = changed(run.config, overrides)
    require_test_set(config)
    started = time.monotonic()
    if isinstance(config.task, Translation):
        tested, fingerprint = _text(run, config)
    else:
        tested, fingerprint = _images(run, config)
    where = next(run.model.parameters()).device
    own: dict[str, Any] = {  # of the evaluation; everything else is of the training
        "metrics": tested.metrics,
        "signatures": tested.signatures,
        "test_seconds": round(time.monotonic() - started, 1),
        "data": Data(name=config.data.name, fingerprint=fingerprint, test_examples=len(tested.examples)),
        "environment": {**describe(where), "precision": getattr(config.task, "decode_precision", "fp32")},
        "evaluated": overrides,
    }
    result = Result(**{**run.result.content(), **own})
    made = RunFolder(folder / "evaluations" / f"{config.hash}-{fingerprint[:8]}")
    with atomic_write(made.examples) as file:
        np.save(file, tested.examples, allow_pickle=False)
    if tested.outputs:
        made.write_translations(tested.sources, tested.references, tested.outputs)
    made.write_config(config)
    made.write_result(result)
    return made.path, result


def _text(run: Run, config: RunConfig) -> tuple[TestResult, str]:
    data, task = config.data, config.task
    assert isinstance(task, Translation) and isinstance(data, Catalogs | ParallelText)
    tokeniser = chosen(task.tokeniser, data.target)
    if isinstance(data, Catalogs):
        files = held_out(ParallelFiles(catalogs.prepare(Path(config.paths.cache))))
    else:
        files = scored_files(data)
    pairs = list(files.pairs("test"))
    if not pairs:
        raise UserError(f"{files.paths('test')[0]}: contains no sentences")
    fingerprint = hashlib.sha256("\n".join(f"{source}\t{target}" for source, target in pairs).encode()).hexdigest()
    sources, references = ([pair[side] for pair in pairs[: task.test_sentences or None]] for side in (0, 1))
    outputs = run.translate(sources, search=search_of(task), cut=True, progress="translate")
    return scored(config, tokeniser, sources, references, outputs), fingerprint


def _images(run: Run, config: RunConfig) -> tuple[TestResult, str]:
    assert isinstance(config.training, ImageTraining) and run.images is not None
    given, inputs, size = held_out_images(config), run.images, config.training.batch
    if unknown := next((name for name in given.classes if name not in run.classes), None):
        known = ", ".join(run.classes[:10]) + (", …" if len(run.classes) > 10 else "")
        raise UserError(f"data={config.data.name}: the run has not learnt its class '{unknown}', but {known}")
    places = np.array([run.classes.index(name) for name in given.classes])
    labels, digest = torch.from_numpy(places[given.labels]), hashlib.sha256()
    digest.update(labels.numpy().data)

    def batch(number: int) -> ImageBatch:
        """Read images as `skipln-classify` does."""
        chosen = slice(number * size, (number + 1) * size)
        return ImageBatch(inputs.read([load() for load in given.images[chosen]]), labels[chosen])

    def batches() -> Iterator[ImageBatch]:
        workers = config.compute.loaders(isinstance(config.data, Photographs))
        for read in prefetched(batch, range(-(-len(labels) // size)), workers):
            digest.update(read.images.contiguous().numpy().data)
            yield read

    with torch.inference_mode():
        tested = as_result(*evaluated(run.model, batches(), inputs.normalised, len(run.classes)))
    return tested, digest.hexdigest()
