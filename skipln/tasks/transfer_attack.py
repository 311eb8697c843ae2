"""Transfer attack: images are made against one trained net and shown to another (Wu et al. 2020)."""

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from skipln.configuration.schema import Classification, RunConfig, TransferAttack
from skipln.data.images import ImageBatches
from skipln.models.resnet import ResNet
from skipln.runs.result import Data
from skipln.seam.gradient import branch_gradients
from skipln.tasks.attacks import attack
from skipln.tasks.classification import ClassificationTask, build_resnet
from skipln.tasks.task import TestResult

PIXEL = 1 / 255


class Pair(nn.Module):
    """The net that is attacked and the net that is shown the images."""

    def __init__(self, source: nn.Module, target: nn.Module) -> None:
        super().__init__()
        self.source, self.target = source, target


class TransferAttackTask(ClassificationTask):
    """Task (see `skipln.tasks.task.Task`) of an evaluation; nothing is trained. The tested model is a `Pair`.

    success: the percentage of the test images classified correctly by both nets that the target gets wrong after the
    attack on the source. An example's statistics: whether it counts, and whether the attack succeeded.
    """

    def __init__(self, config: RunConfig) -> None:
        assert isinstance(config.task, TransferAttack)
        self.method = config.task
        plain = Classification(name="classification", label_smoothing=0.0)
        super().__init__(config.model_copy(update={"task": plain}))

    def net_of(self, config: RunConfig) -> ResNet:
        """The net of a run on the same data, freshly initialised."""
        return build_resnet(config, self.data.channels, len(self.data.classes))

    def test(self, model: nn.Module) -> TestResult:
        assert isinstance(model, Pair)
        found = torch.cat([self._attacked(model, images, labels) for images, labels in self._batches(model)])
        counted, fooled = found.sum(0).tolist()
        success = 100 * fooled / counted if counted else float("nan")
        return TestResult({"success": success}, {}, found.numpy().astype(np.int8))

    def describe(self) -> Data:
        return super().describe().model_copy(update={"test_examples": self._count()})

    def _count(self) -> int:
        return min(self.method.test_images or len(self.data.test), len(self.data.test))

    def _batches(self, model: nn.Module) -> list[tuple[Tensor, Tensor]]:
        """The first test images in [0, 1] and their classes, on the nets' device."""
        device, left, found = next(model.parameters()).device, self._count(), []
        for batch in ImageBatches(self.data.test, self.batch):
            images, labels = batch.images[:left].to(device), batch.labels[:left].to(device)
            left -= len(images)
            if len(images):
                found.append((images.float() * PIXEL, labels))
        return found

    def _attacked(self, pair: Pair, images: Tensor, labels: Tensor) -> Tensor:
        """bool [B, 2]: whether each image counts, and whether the attack on it succeeded."""
        method, decay = self.method, self.method.decay if self.method.method == "mi_fgsm" else None
        with branch_gradients(pair.source, method.gamma) if method.gamma != 1 else nullcontext():
            changed = attack(
                images,
                labels,
                lambda x: self._logits(pair.source, x),
                epsilon=method.epsilon * PIXEL,
                step=method.step * PIXEL,
                steps=method.steps,
                decay=decay,
            )
        right = [self._logits(net, images).argmax(1) == labels for net in (pair.source, pair.target)]
        fooled = self._logits(pair.target, changed).argmax(1) != labels
        counts = right[0] & right[1]
        return torch.stack([counts, counts & fooled], 1).cpu()

    def _logits(self, net: nn.Module, images: Tensor) -> Tensor:
        """The logits of images in [0, 1], which are normalised as in the net's own test."""
        return net(self.inputs.normalised(images / PIXEL)).float()
