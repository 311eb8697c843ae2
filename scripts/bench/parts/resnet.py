"""One training step of PreAct-ResNet-20 and -110 on batches of 128 images, augmentation included."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from scripts.bench.peers.plain_resnet import MEAN, STD, Pictures, PlainPreActResNet, endless
from scripts.bench.records.harness import Part, Sides
from skipln import skips
from skipln.configuration.schema import Sgd
from skipln.data.images.augmentation import augmented
from skipln.data.images.batches import ImageBatches
from skipln.data.images.dataset import Split
from skipln.engine.update.optimizer import create_optimizer
from skipln.models.resnet import ResNet, ResNetShape
from skipln.ops import smoothed_cross_entropy

BATCH = 128
SKIP = {"name": "skip"}
SGD = Sgd(name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4, clip=0.0)


def our_step(
    blocks: int, images: Split, precision: str, skip: dict[str, Any] = SKIP,
    memory: torch.memory_format = torch.channels_last,
) -> Callable[[int], None]:  # fmt: skip
    """k -> an update on batch k as `skipln.engine.loop` makes it, without logging.

    skip: name and options of the connection. memory: channels-last as in the task, or another format.
    """
    torch.manual_seed(1)
    shape = ResNetShape([blocks] * 3)
    model = ResNet(shape, 3, 10, lambda dim, place: skips.create(dim=dim, layout="nchw", place=place, **skip)).train()
    model = model.to(memory_format=memory)
    optimizer = create_optimizer(SGD, model.parameters())
    batches = ImageBatches(images, BATCH, seed=1, epoch=0)

    def step(k: int) -> None:
        batch = batches[k % len(batches)]
        with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
            pictures = augmented(batch.images, (32, 32), pad=4, flip=True, mean=MEAN, std=STD)
            logits = model(pictures.contiguous(memory_format=memory))
            total, _ = smoothed_cross_entropy(logits, batch.labels, 0.0)
        (total / BATCH).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def plain_step(blocks: int, images: Split) -> Callable[[int], None]:
    torch.manual_seed(1)
    model = PlainPreActResNet(blocks).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    batches = endless(DataLoader(Pictures(images.images, images.labels), BATCH, shuffle=True, drop_last=True))

    def step(_: int) -> None:
        pictures, labels = next(batches)
        optimizer.zero_grad()
        F.cross_entropy(model(pictures), labels).backward()
        optimizer.step()

    return step


def random_images() -> Split:
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (16 * BATCH, 32, 32, 3), np.uint8)
    return Split(images, random.integers(0, 10, len(images)))


def prepare(blocks: int, precision: str) -> Sides:
    images = random_images()
    return Sides(our_step(blocks, images, precision), plain_step(blocks, images))


WORK = "one update of PreAct-ResNet-{}, 128 images of 32 × 32"
SHARES = {"bf16": 0.85, "fp32": 0.85}
PARTS = [
    Part(f"resnet{6 * blocks + 2}", "skipln {precision}, channels-last, augmentation of whole batches",
         "plain PyTorch fp32, channels-first, PIL transforms in a DataLoader (no workers)",
         WORK.format(6 * blocks + 2), partial(prepare, blocks), n=pairs, share=SHARES)
    for blocks, pairs in ((3, 20), (18, 8))
]  # fmt: skip
