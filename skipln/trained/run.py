"""`load_run(folder)`: a trained run as an object that translates or classifies."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch import nn

from skipln.configuration.schema import Catalogs, ParallelText, RunConfig, Translation
from skipln.data.images.inputs import ImageInputs
from skipln.data.text.raw import RawText
from skipln.decode.translate import PRECISIONS, Search, hypotheses
from skipln.errors import UserError
from skipln.runs.folder import RunFolder
from skipln.runs.result import Result
from skipln.system.printing import one_line
from skipln.tasks.classification import build_resnet
from skipln.tasks.translation import build_transformer, first_and_last, search_of
from skipln.trained.folder import read_run, require_task
from skipln.trained.loading import device_of, load_weights


@dataclass(frozen=True)
class Run:
    """A finished run that translates or classifies. `model` has the averaged weights."""

    folder: Path
    config: RunConfig
    result: Result = field(repr=False)
    model: nn.Module = field(repr=False)
    text: RawText | None = field(default=None, repr=False)
    images: ImageInputs | None = field(default=None, repr=False)

    @property
    def vocabulary(self) -> Any:
        """The vocabulary of a translation run. Raises UserError for another run."""
        return self._text().vocabulary

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of a classification run, in the order of its outputs. Raises UserError for another run."""
        return self._images().classes

    def translate(self, lines: Sequence[str], **options: Any) -> list[str]:
        """The best translation of each raw line, as raw text; the options are those of `candidates`."""
        return [found[0][0] for found in self.candidates(lines, **options)]

    def candidates(
        self,
        lines: Sequence[str],
        *,
        count: int = 1,
        beam: int | None = None,
        length_penalty: float | None = None,
        max_tokens: int | None = None,
        precision: str | None = None,
        search: Search | None = None,
        cut: bool = False,
        first: int = 1,
        progress: str = "",
    ) -> list[list[tuple[str, float]]]:
        """The best `count` (at most `beam`) translations of each line, best first, with log p / length penalty.

        search: default the run's own. beam, length_penalty, max_tokens (source tokens × beam in a batch), precision (of
        the products' factors, "fp32" or "bf16"): default the search's. cut: truncate a line to the longest length that
        the model was trained on, as the run's own test does. Raises UserError with the line's number, counted from
        `first`, for a line that is empty or, without `cut`, longer than that.
        """
        if isinstance(lines, str):
            raise UserError(f"translate takes a list of lines, not one: give [{one_line(lines)[:40]!r}]")
        text, data = self._text(), self.config.data
        assert isinstance(data, Catalogs | ParallelText) and isinstance(self.config.task, Translation)
        sources = []
        for number, line in enumerate(lines, first):
            ids = text.encode(line)
            if not ids:
                raise UserError(f"line {number} is empty: nothing to translate; remove it")
            if len(ids) > data.max_length and not cut:
                raise UserError(
                    f"line {number} has {len(ids):,} tokens, but this model was trained on at most "
                    f"{data.max_length:,}: split it"
                )
            sources.append(ids[: data.max_length])
        search = search or search_of(self.config.task)
        given: dict[str, Any] = {
            "beam": beam, "alpha": length_penalty, "max_tokens": max_tokens, "precision": precision,
        }  # fmt: skip
        search = replace(search, **{key: value for key, value in given.items() if value is not None})
        if not 0 <= search.alpha < inf or search.max_tokens < 1:
            raise UserError(f"length_penalty {search.alpha}, max_tokens {search.max_tokens}: give at least 0 and 1")
        if search.precision not in PRECISIONS:
            raise UserError(f"precision {search.precision}: give one of {', '.join(PRECISIONS)}")
        if not 1 <= count <= search.beam:
            raise UserError(f"{count} translations of each line need a beam of at least {count}, not {search.beam}")
        start, end = first_and_last(self.config.task)
        found = hypotheses(self.model, sources, search, bos=start, eos=end, count=count, progress=progress)  # type: ignore[arg-type]
        return [[(text.decode(one.tokens), one.score) for one in of] or [("", float("-inf"))] for of in found]

    def predict(self, images: Sequence[Path | str | Image | np.ndarray]) -> list[str]:
        """The likeliest class of each image: a file, a PIL image, or uint8 [height, width, channels]."""
        return [self.classes[i] for i in self.probabilities(images).argmax(1)]

    def probabilities(self, images: Sequence[Path | str | Image | np.ndarray], batch: int = 64) -> np.ndarray:
        """Probabilities, float32 [images, classes]; rows sum to 1. Raises UserError for a file that is no image."""
        if isinstance(images, str | Path | Image):
            raise UserError("predict takes a list of images, not one: give [image]")
        inputs, device = self._images(), next(self.model.parameters()).device
        rows = [np.zeros((0, len(inputs.classes)), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(images), batch):
                pixels = inputs.read(images[start : start + batch]).to(device)
                rows.append(self.model(inputs.normalised(pixels)).float().softmax(1).cpu().numpy())
        return np.concatenate(rows)

    def _text(self) -> RawText:
        require_task(self.folder, self.config, "translation")
        assert self.text is not None
        return self.text

    def _images(self) -> ImageInputs:
        require_task(self.folder, self.config, "classification")
        assert self.images is not None
        return self.images


def load_run(folder: Path | str, device: str = "auto") -> Run:
    """Load the run in `folder`, which may come from another machine: nothing outside the folder is read.

    Raises UserError, one line, if the run is unfinished, diverged, of another version, or damaged.
    """
    folder = Path(folder)
    config, result = read_run(folder)
    inputs, on = RunFolder(folder).inputs, device_of(device)
    data = config.data
    if isinstance(data, Catalogs | ParallelText):
        encoding = data.encoding if isinstance(data, ParallelText) else "sentencepiece"
        text = RawText.load(inputs, encoding, data.vocabulary, data.source, data.target)
        transformer = build_transformer(config, len(text.vocabulary))
        load_weights(transformer, folder, config, result.update)
        return Run(folder, config, result, transformer.to(on), text=text)
    images = ImageInputs.load(inputs)
    resnet = build_resnet(config, images.channels, len(images.classes))
    load_weights(resnet, folder, config, result.update)
    return Run(folder, config, result, resnet.to(on), images=images)
