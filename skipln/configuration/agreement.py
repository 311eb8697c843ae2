"""Keys of a configuration that must fit each other. No torch."""

from skipln.configuration.schema import (
    Classification,
    ImageTraining,
    Photographs,
    ResNetModel,
    RunConfig,
    TextTraining,
    Training,
    TransferAttack,
    TransformerModel,
)
from skipln.errors import UserError


def check_together(config: RunConfig) -> None:
    """Raise UserError, one line that says what to change, for keys that do not fit each other."""
    if isinstance(config.model, TransformerModel) and config.model.dim % config.model.heads:
        raise UserError(f"model.dim={config.model.dim} is not divisible by model.heads={config.model.heads}")
    if isinstance(config.task, TransferAttack):
        _check_attack(config, config.task.gamma)
    if isinstance(config.task, Classification | TransferAttack) and config.attention["name"] != "softmax":
        raise UserError(f"attention={config.attention['name']}: a ResNet has no attention: leave it at softmax")
    if config.engine == "fairseq" and config.init_weights:
        raise UserError("init_from: engine=fairseq cannot start from weights: use engine=skipln")
    if config.init_connections != "same" and not config.init_weights:
        raise UserError(f"init_connections={config.init_connections} applies only to init_from: give init_from too")
    _check_mimic(config)
    training, data = config.training, config.data
    if not config.task.test and getattr(data, "valid", None) == 0:
        raise UserError("task.test=false with data.valid=0 leaves nothing to validate on: hold out images (data.valid)")
    if isinstance(data, Photographs) and data.crop > data.resize:
        raise UserError(
            f"data.crop={data.crop} pixels cannot be cut out of an image scaled to data.resize={data.resize}"
        )
    if isinstance(config.task, Classification | TransferAttack):
        _check_images(training)
    elif not isinstance(training, TextTraining):
        raise UserError("training.batch counts images: task=translation has training.max_tokens")
    checkpoints = training.updates // training.checkpoint_every
    if checkpoints < training.average:
        raise UserError(
            f"training.average={training.average} needs as many checkpoints, but training.updates={training.updates} "
            f"with training.checkpoint_every={training.checkpoint_every} makes {checkpoints}"
        )
    world = config.compute.devices * config.compute.nodes
    if training.accumulate < world:
        raise UserError(
            f"training.accumulate={training.accumulate} micro-batches are too few for {world} devices: give at least "
            f"{world}, and divide training.max_tokens by the same factor"
        )


def _check_mimic(config: RunConfig) -> None:
    """Check the two keys of the net that MimicNorm needs."""
    if config.norm["name"] != "mimic":
        return
    if not isinstance(config.model, ResNetModel):
        raise UserError("norm=mimic is for convolutional nets: choose task=classification, or another norm")
    if (config.model.norm, config.model.head_norm) != ("none", "batch"):
        raise UserError("norm=mimic replaces batch norm: give model.norm=none model.head_norm=batch")


def _check_attack(config: RunConfig, gamma: float) -> None:
    if len(config.inputs) != 2:
        raise UserError("task=transfer_attack trains nothing: give two finished runs as inputs=[SOURCE,TARGET]")
    if gamma != 1 and isinstance(config.model, ResNetModel) and max(config.model.blocks) == 1:
        raise UserError(
            f"task.gamma={gamma:g} would change nothing: it does not apply to the first block of a stage, "
            "and model.blocks has no others: give task.gamma=1"
        )


def _check_images(training: Training) -> None:
    if not isinstance(training, ImageTraining):
        raise UserError("training.max_tokens counts tokens: task=classification has training.batch")
    if training.batch < 2:
        raise UserError("training.batch=1: batch norm cannot train on one image: give at least 2")
