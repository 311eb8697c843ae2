"""The schema of a run's configuration: its nodes, their keys and types. No torch."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
)

from skipln.runs.identity import identity

SEEDS = 2**63  # seeds are below it: torch's generators take no more

Rate = Annotated[float, Field(ge=0, lt=1)]


class Node(BaseModel):
    """A node of the configuration: exactly its keys, each of its type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Translation(Node):
    name: Literal["translation"]
    label_smoothing: Rate
    beam: PositiveInt
    length_penalty: NonNegativeFloat
    penalty: Literal["gnmt", "power"]
    extra_length: PositiveInt
    valid_sentences: NonNegativeInt
    test_sentences: NonNegativeInt
    start: Literal["bos", "eos"] = "bos"
    tokeniser: Literal[
        "auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", "flores101", "flores200", "spBLEU-1K"
    ] = "auto"


class Classification(Node):
    name: Literal["classification"]
    label_smoothing: Rate


class Catalogs(Node):
    kind: Literal["catalogs"]
    name: str
    source: Literal["en"]
    target: Literal["de"]
    vocabulary: PositiveInt
    max_length: PositiveInt


class ParallelText(Node):
    kind: Literal["parallel_text"]
    name: str
    dir: str
    source: str
    target: str
    train: str
    valid: str
    test: str
    vocabulary: PositiveInt
    max_length: PositiveInt
    encoding: Literal["sentencepiece", "bpe", "moses_bpe"] = "sentencepiece"


class Images(Node):
    """What every image set has: how many training images are held out, and its augmentation."""

    name: str
    valid: NonNegativeInt
    crop: NonNegativeInt
    pad: NonNegativeInt
    flip: bool


class Digits(Images):
    kind: Literal["digits"]


class PublishedImages(Images):
    kind: Literal["published_images"]
    dataset: Literal["cifar10", "cifar100", "fashion_mnist"]
    dir: str


class ClassFolders(Images):
    kind: Literal["class_folders"]
    dir: str
    size: NonNegativeInt


class Photographs(Node):
    """Images that are decoded one by one, each time anew. `resize`: the shorter side for the test; `crop`: both."""

    kind: Literal["photographs"]
    name: str
    dir: str
    valid: NonNegativeInt
    resize: PositiveInt
    crop: PositiveInt
    flip: bool


class TransformerModel(Node):
    kind: Literal["transformer"]
    encoder_layers: PositiveInt
    decoder_layers: PositiveInt
    dim: PositiveInt
    feed_forward_dim: PositiveInt
    heads: PositiveInt
    dropout: Rate
    attention_dropout: Rate
    activation_dropout: Rate
    positions: Literal["paper", "fairseq"] = "paper"


class ResNetModel(Node):
    kind: Literal["resnet"]
    blocks: Annotated[list[PositiveInt], Field(min_length=1)]
    width: PositiveInt
    block: Literal["basic", "bottleneck"]
    activation: Literal["pre", "post"]
    stem: Literal["small", "large"]
    norm: Literal["batch", "none"] = "batch"
    head_norm: Literal["none", "batch"] = "none"


class Optimiser(Node):
    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    clip: NonNegativeFloat


class Adam(Optimiser):
    name: Literal["adam"]
    betas: Annotated[list[Rate], Field(min_length=2, max_length=2)]
    eps: PositiveFloat


class Sgd(Optimiser):
    name: Literal["sgd"]
    momentum: Rate


class Warmup(Node):
    name: Literal["linear", "cosine", "constant"]
    warmup: NonNegativeInt


class InverseSqrt(Node):
    name: Literal["inverse_sqrt"]
    warmup: PositiveInt


class Steps(Node):
    name: Literal["step"]
    milestones: list[PositiveInt]
    factor: PositiveFloat
    warmup: NonNegativeInt
    warmup_factor: PositiveFloat


class Precision(Node):
    name: Literal["auto", "bf16", "fp32", "fp16"]


class Scale(Node):
    name: Literal["test", "demo", "small", "paper"]


class Training(Node):
    updates: PositiveInt
    accumulate: PositiveInt
    log_every: PositiveInt
    checkpoint_every: PositiveInt
    average: PositiveInt
    diverged_above: PositiveFloat
    diverged_after: NonNegativeInt
    wall_limit: NonNegativeFloat = 0.0


class TextTraining(Training):
    max_tokens: PositiveInt


class ImageTraining(Training):
    batch: PositiveInt


def _unit(training: Any) -> str:
    """Which of the two a node is: what a micro-batch is counted in says so."""
    found = training if isinstance(training, dict) else training.model_fields_set
    return "images" if "batch" in found else "tokens"


def _workers(value: int | str) -> int | str:
    if value != "auto" and (isinstance(value, str) or value < 0):
        raise ValueError("give how many processes, or auto")
    return value


class Compute(Node):
    accelerator: Literal["auto", "cpu", "cuda"]
    devices: PositiveInt
    nodes: PositiveInt
    threads: NonNegativeInt
    workers: Annotated[int | str, AfterValidator(_workers)] = "auto"
    compile: bool = False

    def loaders(self, decoding: bool) -> int:
        """Processes that load batches for one device: as told, else where images are decoded its share of the cores."""
        if isinstance(self.workers, int):
            return self.workers
        return max(1, len(os.sched_getaffinity(0)) // self.devices) if decoding else 0


class Paths(Node):
    runs: str
    cache: str


WandbName = Annotated[str, Field(min_length=1, max_length=128)]  # W&B's own limits, known before hours are trained


class JsonlTracker(Node):
    name: Literal["jsonl"]


class WandbTracker(Node):
    name: Literal["wandb"]
    project: WandbName
    entity: WandbName | None
    mode: Literal["auto", "online", "offline"]
    group: WandbName | None
    job_type: Annotated[str, Field(min_length=1, max_length=64)]
    tags: list[Annotated[str, Field(min_length=1, max_length=64)]]


class LocalLauncher(Node):
    name: Literal["local"]


def _one_word(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise ValueError("give one word: a space or a line end would be read as more of the job script")
    return text


def _parameters(values: dict[str, Any]) -> dict[str, Any]:
    for key, value in values.items():
        _one_word(key)
        if not isinstance(value, str | int | float | None) or not str(value).isprintable():
            raise ValueError(f"{key}: give one value on one line")
    return values


Word = Annotated[str, AfterValidator(_one_word)]  # of sbatch: it becomes a part of a line of the job script


class SlurmLauncher(Node):
    """What a job asks of SLURM; None leaves it to the cluster's defaults. A job is one run, its tasks are the ranks.

    `setup` holds commands: lines of the job script before the run, which the user writes.
    """

    name: Literal["slurm"]
    partition: Word | None
    account: Word | None
    qos: Word | None
    gres: Word | None
    timeout_min: PositiveInt
    cpus_per_task: PositiveInt
    mem_gb: PositiveFloat | None
    nodes: PositiveInt
    tasks_per_node: PositiveInt
    array_parallelism: PositiveInt
    max_num_timeout: PositiveInt
    signal_delay_s: PositiveInt
    setup: list[str]
    srun_args: list[Word]
    additional_parameters: Annotated[dict[str, Any], AfterValidator(_parameters)]


class RunConfig(Node):
    """One run. `skip`, `norm`, `attention`: a name and the options its YAML lists, each of its default's type."""

    seed: Annotated[int, Field(ge=0, lt=SEEDS)]
    engine: Literal["skipln", "fairseq"] = "skipln"
    inputs: list[
        Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
    ] = []  # the finished runs that are evaluated, not trained
    task: Annotated[Translation | Classification, Field(discriminator="name")]
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
        Annotated[TextTraining, Tag("tokens")] | Annotated[ImageTraining, Tag("images")], Discriminator(_unit)
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
