"""The interface that the training loop expects of a task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from skipln.runs.result import Data


@dataclass(frozen=True)
class Loss:
    """Sums over a micro-batch, in nats, both scalars: `total` is minimised, `nll` is the negative log-likelihood."""

    total: Tensor
    nll: Tensor


@dataclass(frozen=True)
class TestResult:
    """Metrics by name, their signatures, and per-example statistics [examples, k] for significance tests; for text,
    also the outputs with their sources and references."""

    metrics: dict[str, float]
    signatures: dict[str, str]
    examples: np.ndarray
    outputs: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)


class Task(Protocol):
    """Data, model, loss and metrics of one run. A batch is opaque to the loop except for `units`."""

    unit: str  # the unit in which a batch is counted: "tokens" or "images"
    workers: int  # processes that load batches ahead of time; 0: a batch is loaded when it is needed

    def build(self) -> nn.Module:
        """A freshly initialised model; the caller has seeded torch."""

    def save_inputs(self, folder: Path) -> None:
        """Write to `folder` what preparing raw inputs needs, so that the trained model can be used without its data."""

    def epoch(self, number: int) -> Sequence[Any]:
        """The micro-batches of an epoch, a pure function of its number; items are loaded on access."""

    def units(self, batch: Any) -> int:
        """The number of units over which the batch's loss is summed."""

    def loss(self, model: nn.Module, batch: Any) -> Loss:
        """The loss of a forward pass, in the model's current mode (training or evaluation)."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Validation metrics; "valid/loss" (lower is better) chooses the best checkpoint."""

    def test(self, model: nn.Module) -> TestResult:
        """The final evaluation."""

    def describe(self) -> Data:
        """Name, fingerprint and number of test examples of the data."""
