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
    """Share of the probability that goes to all words alike (ε of Szegedy et al. 2016)."""
    beam: PositiveInt
    """Hypotheses kept by beam search."""
    length_penalty: NonNegativeFloat
    """The length penalty's α; 0: none."""
    penalty: Literal["gnmt", "power"]
    """gnmt: ((5 + length) / 6)^α; power: length^α, fairseq's."""
    extra_length: PositiveInt
    """Longest output: tokens beyond the source's length."""
    valid_sentences: NonNegativeInt
    """Validation sentences translated greedily for the BLEU curve; 0: none."""
    test_sentences: NonNegativeInt
    """Test sentences translated; 0: all of them, as every reported figure must be."""
    start: Literal["bos", "eos"] = "bos"
    """What a target begins with; eos is fairseq's."""
    tokeniser: Literal[
        "auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", "flores101", "flores200", "spBLEU-1K"
    ] = "auto"
    """sacreBLEU's, for BLEU; auto: the target language's."""
    by_length: bool = False
    """BLEU of the shorter and of the longer half of the test sentences too, by the source's words."""
    test: bool = True
    """Read the test set at the end; false: only the validation set, as a run that seeks a learning rate."""


class Classification(Node):
    name: Literal["classification"]
    label_smoothing: Rate
    """Share of the probability that goes to all classes alike."""
    test: bool = True
    """Read the test set at the end; false: only the validation set, as a run that seeks a learning rate."""


class TransferAttack(Node):
    name: Literal["transfer_attack"]
    method: Literal["pgd", "mi_fgsm"]
    """The sign of the gradient (Madry et al. 2018), or of its decaying sum (Dong et al. 2018)."""
    gamma: Annotated[float, Field(gt=0, le=1)]
    """The skip gradient method's γ, on the gradient that comes through a branch; 1: the plain gradient."""
    epsilon: PositiveFloat
    """Largest change of a pixel, of 255."""
    step: PositiveFloat
    """Change of a pixel in one step, of 255."""
    steps: PositiveInt
    """Steps; there is no random start."""
    decay: NonNegativeFloat
    """MI-FGSM's μ."""
    test_images: NonNegativeInt
    """Test images attacked; 0: all of them."""

    @property
    def test(self) -> bool:
        """It reads the test set: there is nothing else to do."""
        return True


class Catalogs(Node):
    kind: Literal["catalogs"]
    name: str
    """What the data is called."""
    source: Literal["en"]
    """Source language."""
    target: Literal["de"]
    """Target language."""
    vocabulary: PositiveInt
    """Joint BPE pieces."""
    max_length: PositiveInt
    """Tokens; longer training pairs are left out."""


class ParallelText(Node):
    kind: Literal["parallel_text"]
    name: str
    """What the data is called: the run's identity, wherever the folder lies."""
    dir: str
    """Folder of the files."""
    source: str
    """Source language: the files' last suffix."""
    target: str
    """Target language: the files' last suffix."""
    train: str
    """Training files' name in front of the suffix."""
    valid: str
    """Validation files' name in front of the suffix."""
    test: str
    """Test files' name in front of the suffix."""
    vocabulary: PositiveInt
    """Pieces of sentencepiece, or BPE merges of text that is encoded already."""
    max_length: PositiveInt
    """Tokens; longer training pairs are left out."""
    encoding: Literal["sentencepiece", "bpe", "moses_bpe"] = "sentencepiece"
    """sentencepiece: plain text; bpe, moses_bpe: what scripts/prepare_*.py made."""


class Images(Node):
    """What every image set has: how many training images are held out, and its augmentation."""

    name: str
    """What the data is called: the run's identity, wherever it lies."""
    valid: NonNegativeInt
    """Training images held out for validation; 0: none, the test set is watched (chooses nothing)."""
    crop: NonNegativeInt
    """Pixels a side; 0: the image's own size."""
    pad: NonNegativeInt
    """Black pixels around a training image before its random crop."""
    flip: bool
    """Mirror training images left to right by chance."""


class Digits(Images):
    kind: Literal["digits"]


class PublishedImages(Images):
    kind: Literal["published_images"]
    dataset: Literal["cifar10", "cifar100", "fashion_mnist"]
    """torchvision's data set."""
    dir: str
    """Folder of torchvision's files, fetched when they are not there, or of Fashion-MNIST's four files."""


class ClassFolders(Images):
    kind: Literal["class_folders"]
    dir: str
    """Folder or tar of train/<class>/ and test/<class>/."""
    size: NonNegativeInt
    """Pixels of the shorter side after scaling, the middle square is taken; 0: all have one size."""


class Photographs(Node):
    """Images that are decoded one by one, each time anew. `resize`: the shorter side for the test; `crop`: both."""

    kind: Literal["photographs"]
    name: str
    """What the data is called: the run's identity, wherever it lies."""
    dir: str
    """Folder of train/<class>/ and val/<class>/, or of ImageNet's tars."""
    valid: NonNegativeInt
    """Training images held out for validation; 0: none, val is watched (chooses nothing)."""
    resize: PositiveInt
    """Pixels of the shorter side for the test."""
    crop: PositiveInt
    """Pixels a side of what the net sees."""
    flip: bool
    """Mirror training images left to right by chance."""


class TransformerModel(Node):
    kind: Literal["transformer"]
    encoder_layers: PositiveInt
    """Layers of the encoder."""
    decoder_layers: PositiveInt
    """Layers of the decoder."""
    dim: PositiveInt
    """Channels of the stream."""
    feed_forward_dim: PositiveInt
    """Channels inside a feed-forward branch."""
    heads: PositiveInt
    """Attention heads; they divide dim."""
    dropout: Rate
    """Of every branch's output and the embeddings."""
    attention_dropout: Rate
    """Of attention weights."""
    activation_dropout: Rate
    """Inside a feed-forward branch."""
    word_dropout: Rate = 0.0
    """Of the words that are read, source and target: each becomes the unknown word."""
    positions: Literal["paper", "fairseq"] = "paper"
    """paper: sines and cosines from 0; fairseq: tensor2tensor's, from 2."""


class ResNetModel(Node):
    kind: Literal["resnet"]
    blocks: Annotated[list[PositiveInt], Field(min_length=1)]
    """Blocks of each stage."""
    width: PositiveInt
    """Channels of the first stage, doubled from stage to stage."""
    block: Literal["basic", "bottleneck"]
    """Two 3×3 convolutions, or 1×1, 3×3, 1×1."""
    activation: Literal["pre", "post"]
    """pre: inside the branches; post: relu after the join."""
    stem: Literal["small", "large"]
    """small: one 3×3 convolution; large: 7×7 and pooling, for ImageNet."""
    norm: Literal["batch", "none"] = "batch"
    """Of the branches."""
    head_norm: Literal["none", "batch"] = "none"
    """Before the classifier."""


class Optimiser(Node):
    lr: PositiveFloat
    """Learning rate, the schedule's highest."""
    weight_decay: NonNegativeFloat
    """Share of a weight taken off, times the learning rate."""
    clip: NonNegativeFloat
    """Largest gradient norm; 0: no clipping."""


class Adam(Optimiser):
    name: Literal["adam"]
    betas: Annotated[list[Rate], Field(min_length=2, max_length=2)]
    """Decay of the first and the second moment."""
    eps: PositiveFloat
    """Added to the root of the second moment (ε)."""


class Sgd(Optimiser):
    name: Literal["sgd"]
    momentum: Rate
    """Share of the last step that is kept."""


class Warmup(Node):
    name: Literal["linear", "cosine", "constant"]
    warmup: NonNegativeInt
    """Updates of linear growth to lr."""


class InverseSqrt(Node):
    name: Literal["inverse_sqrt"]
    warmup: PositiveInt
    """Updates of linear growth to lr; then lr·√(warmup / update)."""


class Steps(Node):
    name: Literal["step"]
    milestones: list[PositiveInt]
    """Updates after which lr is multiplied by factor."""
    factor: PositiveFloat
    """Of a milestone."""
    warmup: NonNegativeInt
    """Updates at lr·warmup_factor."""
    warmup_factor: PositiveFloat
    """Share of lr during the warm-up."""


class Precision(Node):
    name: Literal["auto", "bf16", "fp32", "fp16"]
    """Of products; auto: bf16 where the hardware multiplies it, else fp32."""


class Scale(Node):
    name: Literal["test", "demo", "small", "paper"]
    """How much is trained: seconds, minutes on a CPU, hours, a GPU cluster."""


class Training(Node):
    updates: PositiveInt
    """Updates of the weights."""
    accumulate: PositiveInt
    """Micro-batches of an update, over all devices."""
    log_every: PositiveInt
    """Updates between two points of the training curve."""
    checkpoint_every: PositiveInt
    """Updates between two checkpoints, each with a validation."""
    average: PositiveInt
    """Last checkpoints whose mean is tested."""
    diverged_above: PositiveFloat
    """Nats; a mean loss beyond this is an explosion."""
    diverged_after: NonNegativeInt
    """Updates before a high loss alone ends the run as diverged."""
    wall_limit: NonNegativeFloat = 0.0
    """Seconds after which training ends as if at its last update; 0: none."""


class TextTraining(Training):
    max_tokens: PositiveInt
    """Padded tokens of a side in one micro-batch."""


class ImageTraining(Training):
    batch: PositiveInt
    """Images of one micro-batch."""


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
    """What it runs on."""
    devices: PositiveInt
    """Processes on each node, one a device."""
    nodes: PositiveInt
    """Machines."""
    threads: NonNegativeInt
    """CPU threads of a process; 0: all cores."""
    workers: Annotated[int | str, AfterValidator(_workers)] = "auto"
    """Processes that load batches for a device; auto: its share of the cores to decode images."""
    compile: bool = False
    """torch.compile the model."""

    def loaders(self, decoding: bool) -> int:
        """Processes that load batches for one device: as told, else where images are decoded its share of the cores."""
        if isinstance(self.workers, int):
            return self.workers
        return max(1, len(os.sched_getaffinity(0)) // self.devices) if decoding else 0


class Paths(Node):
    runs: str
    """Folder of the run folders, each named by the hash of its configuration."""
    cache: str
    """Folder of prepared data."""


WandbName = Annotated[str, Field(min_length=1, max_length=128)]  # W&B's own limits, known before hours are trained


class JsonlTracker(Node):
    name: Literal["jsonl"]


class WandbTracker(Node):
    name: Literal["wandb"]
    project: WandbName
    """Project in W&B."""
    entity: WandbName | None
    """User or team; null: the account's own."""
    mode: Literal["auto", "online", "offline"]
    """auto: online where logged in, else a local W&B run."""
    group: WandbName | None
    """What W&B takes means over; a table gives table/row."""
    job_type: Annotated[str, Field(min_length=1, max_length=64)]
    """W&B's word for the kind of run."""
    tags: list[Annotated[str, Field(min_length=1, max_length=64)]]
    """W&B's tags; a table gives scale/column."""


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
    """sbatch's --partition; null: the cluster's default, here and below."""
    account: Word | None
    """sbatch's --account."""
    qos: Word | None
    """sbatch's --qos."""
    gres: Word | None
    """Of each node: gpu:1, gpu:a100:8."""
    timeout_min: PositiveInt
    """Minutes of a job; a longer run is saved, queued again and goes on."""
    cpus_per_task: PositiveInt
    """Cores of a process, and its CPU threads."""
    mem_gb: PositiveFloat | None
    """Gigabytes of each node."""
    nodes: PositiveInt
    """Machines of a run."""
    tasks_per_node: PositiveInt
    """Processes on each."""
    array_parallelism: PositiveInt
    """Runs at once."""
    max_num_timeout: PositiveInt
    """How often a run may meet its time limit."""
    signal_delay_s: PositiveInt
    """Seconds before the time limit at which it is told to save."""
    setup: list[str]
    """Shell lines before a run, such as module load cuda."""
    srun_args: list[Word]
    """Words for srun."""
    additional_parameters: Annotated[dict[str, Any], AfterValidator(_parameters)]
    """Any other option of sbatch."""


class RunConfig(Node):
    """One run. `skip`, `norm`, `attention`: a name and the options its YAML lists, each of its default's type."""

    seed: Annotated[int, Field(ge=0, lt=SEEDS)]
    """Starts weights, data order and dropout."""
    engine: Literal["skipln", "fairseq"] = "skipln"
    """Whose training loop and beam search."""
    inputs: list[Annotated[str, Field(pattern="^[0-9a-f]{12}$")]] = []
    """Finished runs, by their hashes, of which the best on the validation set is tested; nothing is trained then."""
    init_from: str | None = None
    """Weights to start from: a finished run's or an export's folder, or a file; null: drawn from the seed."""
    init_weights: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the file of weights, which names the run in the place of its path; made from init_from."""
    init_connections: Literal["same", "new", "first_norm"] = "same"
    """Of connections' parameters init_from gives: same: all; new: none; first_norm: the norm of x + F(x), no other."""
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
