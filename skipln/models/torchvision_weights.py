"""torchvision's ResNet weights under our names, so that its published checkpoints load into a net with `skip`."""

import re

from torch import Tensor

from skipln.errors import UserError

# torchvision's name of a module -> ours.
_STEM = {"conv1": "stem.0", "bn1": "stem.1", "fc": "classifier"}
_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.(conv|bn|downsample\.)(\d+)")


def from_torchvision(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn a torchvision ResNet's state_dict (18 to 152 layers) into that of a post-activation `ResNet` with `skip`.

    Raises UserError for a key that no such net has.
    """
    return {
        f"{_module(key.rpartition('.')[0], key)}.{key.rpartition('.')[2]}": value
        for key, value in weights.items()
        if not key.endswith(".num_batches_tracked")  # needed only for a cumulative average, which neither net uses
    }


def _module(name: str, key: str) -> str:
    if name in _STEM:
        return _STEM[name]
    found = _BLOCK.fullmatch(name)
    if not found:
        raise UserError(f"{key}: not a key of torchvision's ResNets; give the weights of resnet18 to resnet152")
    stage, block, kind, number = found[1], found[2], found[3], int(found[4])
    # A branch is conv, BN, relu, conv, BN, …; a downsample is conv, BN.
    place = f"project.{number}" if kind == "downsample." else f"branch.{3 * (number - 1) + (kind == 'bn')}"
    return f"stages.{int(stage) - 1}.{block}.{place}"
