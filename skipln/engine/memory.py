"""The memory that an update keeps, a property of the net and the batch that is the same on every machine."""

from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from skipln.configuration.schema import RunConfig
from skipln.tasks import Task


def kept_bytes(net: nn.Module, forward: Callable[[nn.Module], Any]) -> int:
    """Return the bytes that `forward(net)` keeps for the backward pass, counting each storage once but not the net's.

    These are the tensors that autograd saves, whatever an allocator makes of them. Temporaries that the backward pass
    does not need, gradients and the optimizer's moments do not count.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in net.state_dict(keep_vars=True).values()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = tensor.detach()  # hold it, so that no later tensor gets its address
        return tensor.detach()

    with torch.enable_grad(), saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward(net)
    total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del result
    return total


def first_batch(config: RunConfig, fabric: Fabric, task: Task) -> dict[str, Any]:
    """Measure what the first micro-batch of the training data keeps for its backward pass, in a net built for this."""
    if config.compute.compile:
        return {}  # a compiled net keeps what its compiler chooses
    torch.manual_seed(config.seed)
    net, batch = fabric.to_device(task.build()).train(), fabric.to_device(task.epoch(0)[0])
    with fabric.autocast():
        kept = kept_bytes(net, lambda model: task.loss(model, batch).total)
    if fabric.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(fabric.device)
    return {"kept_bytes": kept}
