"""Classification of images: bytes, a residual network, cross-entropy, error."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from skipln.configuration.schema import (
    ClassFolders,
    Classification,
    Digits,
    ImageTraining,
    Photographs,
    PublishedImages,
    ResNetModel,
    RunConfig,
)
from skipln.data.images import ImageBatches, ImageData, ImageSplit
from skipln.data.images.augmentation import augmented, centre_crop, normalise
from skipln.data.images.batches import ImageBatch
from skipln.data.images.held_out import HeldOut
from skipln.data.images.inputs import ImageInputs
from skipln.data.prefetch import prefetched
from skipln.models.resnet import ResNet, ResNetShape
from skipln.ops import smoothed_cross_entropy
from skipln.runs.result import Data
from skipln.tasks.connections import make_connections
from skipln.tasks.task import Loss, TestResult


class ClassificationTask:
    """Task (see `skipln.tasks.task.Task`) of one classification run.

    Augmentation is part of the training loss. It works on whole batches, on their device, and draws from the generator
    that the loop seeds for every micro-batch; photographs of many sizes are cropped and flipped one by one when they
    are read. If nothing is held out for validation, the test set is monitored; this chooses nothing, because the last
    weights are always the tested ones.
    """

    unit = "images"

    def __init__(self, config: RunConfig) -> None:
        assert isinstance(config.task, Classification)  # create_task and the schema ensure all four
        assert isinstance(config.data, Digits | PublishedImages | ClassFolders | Photographs)
        assert isinstance(config.training, ImageTraining) and isinstance(config.model, ResNetModel)
        self.config, self.smoothing, self.options = config, config.task.label_smoothing, config.data
        self.batch = config.training.batch
        self.workers = config.compute.loaders(isinstance(config.data, Photographs))
        self.data = prepare_images(config)
        resize = config.data.resize if isinstance(config.data, Photographs) else 0
        self.inputs = ImageInputs.of(self.data, config.data.crop, resize)
        self.crop = self.inputs.crop
        centre_crop(torch.empty(1, 1, *self.data.size), self.crop)  # fails now if an image is smaller than the crop

    def build(self) -> ResNet:
        return build_resnet(self.config, self.data.channels, len(self.data.classes))

    def save_inputs(self, folder: Path) -> None:
        self.inputs.save(folder)

    def epoch(self, number: int) -> ImageBatches:
        return ImageBatches(self.data.train, self.batch, self.config.seed, number)

    def units(self, batch: ImageBatch) -> int:
        return len(batch)

    def loss(self, model: nn.Module, batch: ImageBatch) -> Loss:
        logits = model(self._prepare(batch.images, training=model.training))
        return Loss(*smoothed_cross_entropy(logits, batch.labels, self.smoothing))

    def validate(self, model: nn.Module) -> dict[str, float]:
        losses, wrong = self._evaluate(model, self.data.valid)
        return {"valid/loss": float(losses.mean()), "valid/error": 100 * float(wrong[:, 0].mean())}

    def test(self, model: nn.Module) -> TestResult:
        return as_result(*self._evaluate(model, self.data.test))

    def describe(self) -> Data:
        return Data(name=self.options.name, fingerprint=self.data.fingerprint, test_examples=len(self.data.test))

    def _evaluate(self, model: nn.Module, split: ImageSplit) -> tuple[np.ndarray, np.ndarray]:
        batches = ImageBatches(split, self.batch)
        loaded = prefetched(batches.__getitem__, range(len(batches)), self.workers)
        return evaluated(model, loaded, partial(self._prepare, training=False), len(self.data.classes))

    def _prepare(self, images: Tensor, training: bool) -> Tensor:
        """Prepare uint8 images [B, C, H, W] for the net: crop, flip at random in training, normalise."""
        mean, std, options = self.data.mean, self.data.std, self.options
        if isinstance(options, Photographs):  # already cropped and flipped when they were read
            images = normalise(images, mean, std)
        elif training:
            images = augmented(images, self.crop, options.pad, options.flip, mean, std)
        else:
            return self.inputs.normalised(images)
        return images.contiguous(memory_format=torch.channels_last)


def evaluated(
    model: nn.Module, batches: Iterable[ImageBatch], prepare: Callable[[Tensor], Tensor], classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Negative log-likelihood in nats, float64 [n], and which images are wrong, bool [n, 1 or 2].

    An image is wrong if its class is not the likeliest one; with 100 classes or more, the second column tells whether
    its class is not among the likeliest 5. prepare: makes the net's input of a batch's images.
    """
    device = next(model.parameters()).device
    ranks = (1, 5) if classes >= 100 else (1,)
    losses, wrong = [], []
    for batch in batches:
        logits = model(prepare(batch.images.to(device))).float().cpu()
        losses.append(nn.functional.cross_entropy(logits, batch.labels, reduction="none"))
        hits = logits.topk(ranks[-1]).indices == batch.labels[:, None]
        # NaN is no class: a net that has diverged since the last log point is wrong everywhere.
        broken = ~logits.isfinite().all(1)
        wrong.append(torch.stack([~hits[:, :rank].any(1) | broken for rank in ranks], 1))
    return torch.cat(losses).double().numpy(), torch.cat(wrong).numpy()


def as_result(losses: np.ndarray, wrong: np.ndarray) -> TestResult:
    """The result of a test from what `evaluated` returns: errors in percent, and nll in nats."""
    metrics = {key: 100 * float(found.mean()) for key, found in zip(("error", "error5"), wrong.T, strict=False)}
    return TestResult({**metrics, "nll": float(losses.mean())}, {}, wrong.astype(np.int8))


def build_resnet(config: RunConfig, channels: int, classes: int) -> ResNet:
    """The net of a configuration, freshly initialised."""
    assert isinstance(config.model, ResNetModel)
    shape = ResNetShape(**config.model.model_dump(exclude={"kind"}))
    net = ResNet(shape, channels, classes, make_connections(config, "nchw"))
    return net.to(memory_format=torch.channels_last)  # the fastest layout for convolutions


def prepare_images(config: RunConfig) -> ImageData:
    """Find, fetch or decode the images of `config.data` into the cache. Raises UserError as the sources do."""
    data, cache = config.data, Path(config.paths.cache)
    if isinstance(data, Digits):
        from skipln.data.images.digits import load_digits

        found: tuple[list[str], ImageSplit, ImageSplit] = load_digits()
    elif isinstance(data, PublishedImages):
        from skipln.data.images.published import load_published

        found = load_published(data.dataset, Path(data.dir))
    elif isinstance(data, Photographs):
        from skipln.data.images.photographs import load_photographs

        found = load_photographs(Path(data.dir), data.resize, data.crop, data.flip)
    else:
        from skipln.data.images.class_folders import load_class_folders

        assert isinstance(data, ClassFolders)  # the schema ensures it
        found = load_class_folders(Path(data.dir), data.size, cache)
    return ImageData.assemble(data.name, *found, valid=data.valid)


def held_out_images(config: RunConfig) -> HeldOut:
    """The test images of `config.data` as they are given; nothing else of it is read. Raises UserError likewise."""
    data = config.data
    if isinstance(data, Photographs):
        from skipln.data.images.photographs import held_out_photographs

        return held_out_photographs(Path(data.dir))
    if isinstance(data, ClassFolders):
        from skipln.data.images.class_folders import held_out_folders

        return held_out_folders(Path(data.dir))
    if isinstance(data, PublishedImages):
        from skipln.data.images.published import load_published

        classes, _, test = load_published(data.dataset, Path(data.dir))
    else:
        from skipln.data.images.digits import load_digits

        assert isinstance(data, Digits)  # the schema ensures it
        classes, _, test = load_digits()
    return HeldOut.of_arrays(classes, test)
