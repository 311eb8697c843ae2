"""Training: optimiser, schedule of the learning rate, precision, and length."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from skipln.configuration.schema.node import Node, Rate


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


def unit(training: Any) -> str:
    """The unit of a micro-batch, which tells the two kinds of node apart."""
    found = training if isinstance(training, dict) else getattr(training, "model_fields_set", ())
    return "images" if "batch" in found else "tokens"
