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

SEEDS = 2**63  # seeds are smaller, since torch's generators take no more

Rate = Annotated[float, Field(ge=0, lt=1)]


class Node(BaseModel):
    """A node of the configuration, with exactly its keys, each of its type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Translation(Node):
    name: Literal["translation"]
    label_smoothing: Rate
    """Share of the probability spread evenly over all words (ε of Szegedy et al. 2016)."""
    beam: PositiveInt
    """Hypotheses that beam search keeps."""
    length_penalty: NonNegativeFloat
    """The length penalty's α; 0: none."""
    penalty: Literal["gnmt", "power"]
    """gnmt: ((5 + length) / 6)^α; power: length^α, fairseq's."""
    extra_length: PositiveInt
    """Tokens by which an output may exceed the source's length."""
    valid_sentences: NonNegativeInt
    """Validation sentences translated greedily for the BLEU curve; 0: none."""
    test_sentences: NonNegativeInt
    """Test sentences translated; 0: all of them, as for every reported number."""
    start: Literal["bos", "eos"] = "bos"
    """First symbol of a target; eos is fairseq's."""
    tokeniser: Literal[
        "auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", "flores101", "flores200", "spBLEU-1K"
    ] = "auto"
    """sacreBLEU's tokeniser for BLEU; auto: the target language's."""
    decode_precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of beam search's products: factors in fp32, or rounded to bf16; sums in fp32."""
    by_length: bool = False
    """Also give BLEU of the shorter and the longer half of the test sentences, by the words of the source."""
    test: bool = True
    """Read the test set at the end; false in a search for a learning rate."""


class Classification(Node):
    name: Literal["classification"]
    label_smoothing: Rate
    """Share of the probability spread evenly over all classes."""
    test: bool = True
    """Read the test set at the end; false in a search for a learning rate."""


class TransferAttack(Node):
    name: Literal["transfer_attack"]
    method: Literal["pgd", "mi_fgsm"]
    """The sign of the gradient (Madry et al. 2018), or of its decaying sum (Dong et al. 2018)."""
    gamma: Annotated[float, Field(gt=0, le=1)]
    """The skip gradient method's γ, which scales the gradient through a branch; 1: the plain gradient."""
    epsilon: PositiveFloat
    """Largest change of a pixel, in units of 1/255."""
    step: PositiveFloat
    """Change of a pixel in one step, in units of 1/255."""
    steps: PositiveInt
    """Number of steps; there is no random start."""
    decay: NonNegativeFloat
    """MI-FGSM's μ."""
    test_images: NonNegativeInt
    """Test images attacked; 0: all of them."""

    @property
    def test(self) -> bool:
        """An attack always reads the test set."""
        return True


class Catalogs(Node):
    kind: Literal["catalogs"]
    name: str
    """Name of the data."""
    source: Literal["en"]
    """Source language."""
    target: Literal["de"]
    """Target language."""
    vocabulary: PositiveInt
    """Number of joint BPE pieces."""
    max_length: PositiveInt
    """Most tokens on a side; longer training pairs are left out."""


class ParallelText(Node):
    kind: Literal["parallel_text"]
    name: str
    """The data's name, which stands for its path in the run's identity."""
    dir: str
    """Folder of the files."""
    source: str
    """Source language: the files' last suffix."""
    target: str
    """Target language: the files' last suffix."""
    train: str
    """Name of the training files before the suffix."""
    valid: str
    """Name of the validation files before the suffix."""
    test: str
    """Name of the test files before the suffix."""
    vocabulary: PositiveInt
    """Number of sentencepiece pieces, or of BPE merges of encoded text."""
    max_length: PositiveInt
    """Most tokens on a side; longer training pairs are left out."""
    encoding: Literal["sentencepiece", "bpe", "moses_bpe"] = "sentencepiece"
    """sentencepiece: for plain text; bpe, moses_bpe: for text from scripts/prepare_*.py."""


class Images(Node):
    """The keys of every image set: how many training images are held out, and how images are augmented."""

    name: str
    """The data's name, which stands for its path in the run's identity."""
    valid: NonNegativeInt
    """Training images held out for validation; 0: none, monitor the test set (it chooses nothing)."""
    crop: NonNegativeInt
    """Pixels on each side; 0: the image's own size."""
    pad: NonNegativeInt
    """Black pixels around a training image before its random crop."""
    flip: bool
    """Mirror training images left to right at random."""


class Digits(Images):
    kind: Literal["digits"]


class PublishedImages(Images):
    kind: Literal["published_images"]
    dataset: Literal["cifar10", "cifar100", "fashion_mnist"]
    """torchvision's data set."""
    dir: str
    """Folder of torchvision's files, which are downloaded if missing, or of Fashion-MNIST's four files."""


class ClassFolders(Images):
    kind: Literal["class_folders"]
    dir: str
    """Folder or tar with train/<class>/ and test/<class>/."""
    size: NonNegativeInt
    """Pixels of the shorter side after scaling, before a square centre crop; 0: all images have one size."""


class Photographs(Node):
    """Images that are decoded one by one, every time they are read."""

    kind: Literal["photographs"]
    name: str
    """The data's name, which stands for its path in the run's identity."""
    dir: str
    """Folder with train/<class>/ and val/<class>/, or with ImageNet's tars."""
    valid: NonNegativeInt
    """Training images held out for validation; 0: none, monitor val (it chooses nothing)."""
    resize: PositiveInt
    """Pixels of the shorter side in the test, before the crop."""
    crop: PositiveInt
    """Pixels on each side of the net's input."""
    flip: bool
    """Mirror training images left to right at random."""


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
    """Attention heads; their number divides dim."""
    dropout: Rate
    """Dropout of every branch's output and of the embeddings."""
    attention_dropout: Rate
    """Dropout of attention weights."""
    activation_dropout: Rate
    """Dropout inside a feed-forward branch."""
    word_dropout: Rate = 0.0
    """Share of source and target input words replaced by the unknown word."""
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
    """pre: activations inside the branches; post: relu after the join."""
    stem: Literal["small", "large"]
    """small: one 3×3 convolution; large: 7×7 and pooling, for ImageNet."""
    norm: Literal["batch", "none"] = "batch"
    """Norm in the branches."""
    head_norm: Literal["none", "batch"] = "none"
    """Norm of the logits."""


class Optimiser(Node):
    lr: PositiveFloat
    """Learning rate: the schedule's maximum."""
    weight_decay: NonNegativeFloat
    """Share of a weight subtracted, times the learning rate."""
    clip: NonNegativeFloat
    """Largest gradient norm; 0: no clipping."""


class Adam(Optimiser):
    name: Literal["adam"]
    betas: Annotated[list[Rate], Field(min_length=2, max_length=2)]
    """Decay of the first and second moments."""
    eps: PositiveFloat
    """ε, added to the root of the second moment."""


class Sgd(Optimiser):
    name: Literal["sgd"]
    momentum: Rate
    """Share of the last step that the next one keeps."""


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
    """Factor of lr at each milestone."""
    warmup: NonNegativeInt
    """Updates at lr·warmup_factor."""
    warmup_factor: PositiveFloat
    """Share of lr during the warm-up."""


class Precision(Node):
    name: Literal["auto", "bf16", "fp32", "fp16"]
    """Precision of products; auto: bf16 if the hardware has bf16 arithmetic, else fp32."""


class Scale(Node):
    name: Literal["test", "demo", "small", "paper"]
    """Size of the training: seconds, minutes on a CPU, hours, or a GPU cluster."""


class Training(Node):
    updates: PositiveInt
    """Updates of the weights."""
    accumulate: PositiveInt
    """Micro-batches in an update, over all devices."""
    log_every: PositiveInt
    """Updates between two points of the training curve."""
    checkpoint_every: PositiveInt
    """Updates between two checkpoints; each also validates."""
    average: PositiveInt
    """Number of last checkpoints whose averaged weights are tested."""
    diverged_above: PositiveFloat
    """Mean loss, in nats, beyond which training has exploded."""
    diverged_after: NonNegativeInt
    """Updates after which such a loss alone ends the run as diverged."""
    wall_limit: NonNegativeFloat = 0.0
    """Seconds after which training ends as if at its last update; 0: no limit."""


class TextTraining(Training):
    max_tokens: PositiveInt
    """Padded tokens on each side in a micro-batch."""


class ImageTraining(Training):
    batch: PositiveInt
    """Images in a micro-batch."""


def _unit(training: Any) -> str:
    """The unit of a micro-batch, which tells the two kinds of node apart."""
    found = training if isinstance(training, dict) else getattr(training, "model_fields_set", ())
    return "images" if "batch" in found else "tokens"


def _workers(value: int | str) -> int | str:
    if value != "auto" and (isinstance(value, str) or value < 0):
        raise ValueError("give a number of processes, or auto")
    return value


class Compute(Node):
    accelerator: Literal["auto", "cpu", "cuda"]
    """Device to run on."""
    devices: PositiveInt
    """Processes on each node, one for each device."""
    nodes: PositiveInt
    """Number of machines."""
    threads: NonNegativeInt
    """CPU threads of a process; 0: all cores."""
    workers: Annotated[int | str, AfterValidator(_workers)] = "auto"
    """Processes that load batches for a device; auto: its share of the cores if images are decoded, else none."""
    compile: bool = False
    """Compile the model with torch.compile."""

    def loaders(self, decoding: bool) -> int:
        """Processes that load batches for a device: as given, or else its share of the cores if images are decoded."""
        if isinstance(self.workers, int):
            return self.workers
        return max(1, len(os.sched_getaffinity(0)) // self.devices) if decoding else 0


class Paths(Node):
    runs: str
    """Folder of the run folders, each named by its configuration's hash."""
    cache: str
    """Folder for prepared data."""


WandbName = Annotated[str, Field(min_length=1, max_length=128)]  # W&B's own limits, checked before hours of training


class JsonlTracker(Node):
    name: Literal["jsonl"]


class WandbTracker(Node):
    name: Literal["wandb"]
    project: WandbName
    """W&B project."""
    entity: WandbName | None
    """User or team; null: the account's own."""
    mode: Literal["auto", "online", "offline"]
    """auto: online if logged in, otherwise a local W&B run."""
    group: WandbName | None
    """Group of runs that W&B averages; a table sets table/row."""
    job_type: Annotated[str, Field(min_length=1, max_length=64)]
    """W&B's job type."""
    tags: list[Annotated[str, Field(min_length=1, max_length=64)]]
    """W&B's tags; a table sets scale/column."""


class LocalLauncher(Node):
    name: Literal["local"]


def _one_word(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise ValueError("give one word: after a space or a line end, the rest would be read as part of the job script")
    return text


def _parameters(values: dict[str, Any]) -> dict[str, Any]:
    for key, value in values.items():
        _one_word(key)
        if not isinstance(value, str | int | float | None) or not str(value).isprintable():
            raise ValueError(f"{key}: give one value on one line")
    return values


Word = Annotated[str, AfterValidator(_one_word)]  # for sbatch: it becomes part of a line of the job script


class SlurmLauncher(Node):
    """What a job asks of SLURM; None means the cluster's default. A job is one run, and its tasks are the ranks.

    `setup` holds the user's own shell commands, which precede the run in the job script.
    """

    name: Literal["slurm"]
    partition: Word | None
    """sbatch's --partition; null: the cluster's default, here and below."""
    account: Word | None
    """sbatch's --account."""
    qos: Word | None
    """sbatch's --qos."""
    gres: Word | None
    """Generic resources of each node, such as gpu:1 or gpu:a100:8."""
    timeout_min: PositiveInt
    """Time limit of a job in minutes; a longer run is saved, queued again and continues."""
    cpus_per_task: PositiveInt
    """Cores and CPU threads of a process."""
    mem_gb: PositiveFloat | None
    """Memory of each node in gigabytes."""
    nodes: PositiveInt
    """Number of machines for a run."""
    tasks_per_node: PositiveInt
    """Processes on each machine."""
    array_parallelism: PositiveInt
    """Most runs at once."""
    max_num_timeout: PositiveInt
    """How often a run may reach its time limit."""
    signal_delay_s: PositiveInt
    """Seconds before the time limit at which SLURM tells the run to save."""
    setup: list[str]
    """Shell lines to execute before a run, such as module load cuda."""
    srun_args: list[Word]
    """Arguments for srun."""
    additional_parameters: Annotated[dict[str, Any], AfterValidator(_parameters)]
    """Any other options for sbatch."""


class RunConfig(Node):
    """One run. `skip`, `norm` and `attention` hold a name and the options in its YAML, each of its default's type."""

    seed: Annotated[int, Field(ge=0, lt=SEEDS)]
    """Seed of weights, data order and dropout."""
    engine: Literal["skipln", "fairseq"] = "skipln"
    """Whose training loop and beam search to use."""
    inputs: list[Annotated[str, Field(pattern="^[0-9a-f]{12}$")]] = []
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
