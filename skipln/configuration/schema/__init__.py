"""The schema of a run's configuration: its nodes, their keys and types. No torch."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from skipln.configuration.schema.data import (
    Catalogs,
    ClassFolders,
    Digits,
    Images,
    ParallelText,
    Photographs,
    PublishedImages,
)
from skipln.configuration.schema.machine import (
    Compute,
    JsonlTracker,
    LocalLauncher,
    Paths,
    SlurmLauncher,
    WandbTracker,
)
from skipln.configuration.schema.model import ResNetModel, TransformerModel
from skipln.configuration.schema.node import Node
from skipln.configuration.schema.task import Classification, TransferAttack, Translation
from skipln.configuration.schema.training import (
    Adam,
    ImageTraining,
    InverseSqrt,
    Precision,
    Scale,
    Sgd,
    Steps,
    TextTraining,
    Training,
    Warmup,
    unit,
)
from skipln.runs.identity import identity

__all__ = [
    "SEEDS",
    "Adam",
    "Catalogs",
    "ClassFolders",
    "Classification",
    "Compute",
    "Digits",
    "ImageTraining",
    "Images",
    "InverseSqrt",
    "JsonlTracker",
    "LocalLauncher",
    "Node",
    "ParallelText",
    "Paths",
    "Photographs",
    "Precision",
    "PublishedImages",
    "ResNetModel",
    "RunConfig",
    "Scale",
    "Sgd",
    "SlurmLauncher",
    "Steps",
    "TextTraining",
    "Training",
    "TransferAttack",
    "TransformerModel",
    "Translation",
    "WandbTracker",
    "Warmup",
]

SEEDS = 2**63  # seeds are smaller, since torch's generators take no more


class RunConfig(Node):
    """One run. `skip`, `norm` and `attention` hold a name and the options in its YAML, each of its default's type."""

    seed: Annotated[int, Field(ge=0, lt=SEEDS)]
    """Seed of weights, data order and dropout."""
    engine: Literal["skipln", "fairseq"] = "skipln"
    """Whose training loop and beam search to use."""
    inputs: list[Annotated[str, Field(pattern="^[0-9a-f]{12}$")]] = Field([])
    """Hashes of finished runs: test the one that is best on the validation set, and train nothing."""
    init_from: str | None = None
    """Weights to start from: a finished run's or an export's folder, or a file; null: random weights."""
    init_weights: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the weights, part of the run's identity in place of their path; computed from init_from."""
    init_connections: Literal["same", "new", "first_norm"] = "same"
    """Connections' parameters that come from init_from: same: all; new: none; first_norm: only the norm of x + F(x)."""
    task: Annotated[Translation | Classification | TransferAttack, Field(discriminator="name")]
    data: Annotated[
        Catalogs | ParallelText | Digits | PublishedImages | ClassFolders | Photographs, Field(discriminator="kind")
    ]
    model: Annotated[TransformerModel | ResNetModel, Field(discriminator="kind")]
    skip: dict[str, Any]
    norm: dict[str, Any]
    attention: dict[str, Any]
    optim: Annotated[Adam | Sgd, Field(discriminator="name")]
    schedule: Annotated[InverseSqrt | Warmup | Steps, Field(discriminator="name")]
    precision: Precision
    scale: Scale
    training: Annotated[
        Annotated[TextTraining, Tag("tokens")] | Annotated[ImageTraining, Tag("images")], Discriminator(unit)
    ]
    compute: Compute
    paths: Paths
    tracker: Annotated[JsonlTracker | WandbTracker, Field(discriminator="name")]
    launcher: Annotated[LocalLauncher | SlurmLauncher, Field(discriminator="name")]

    @property
    def folder(self) -> Path:
        """The run's folder, named by the hash of everything that decides its result."""
        return Path(self.paths.runs) / self.hash

    @property
    def hash(self) -> str:
        return identity(self.model_dump())
