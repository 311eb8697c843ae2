"""Batch norm's statistics for averaged weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric
from torch import nn

from skipln.data.seeds import mixed
from skipln.tasks.task import Task

BATCHES = 100  # micro-batches, or a whole epoch if it has fewer


def estimate_statistics(model: nn.Module, task: Task, fabric: Fabric, seed: int) -> None:
    """Set the running mean and variance of every batch norm in `model` to plain means over micro-batches.

    The means are over BATCHES micro-batches of the training data, in training mode; a net without batch norm stays as
    it is. A checkpoint's running statistics belong to its own weights, and their mean over checkpoints is not that of
    the averaged weights (Izmailov et al. 2018, section 3.2). Batches and dropout are a function of `seed`.
    """
    norms = [m for m in model.modules() if isinstance(getattr(m, "running_mean", None), torch.Tensor)]
    if not norms:
        return
    batches = task.epoch(0)
    model.train()
    with torch.no_grad(), fabric.autocast(), _plain_means(norms):
        for i in range(min(BATCHES, len(batches))):
            torch.manual_seed(mixed(seed, 0, i))
            task.loss(model, fabric.to_device(batches[i]))


@contextmanager
def _plain_means(norms: list[nn.Module]) -> Iterator[None]:
    """Make running statistics plain means over calls: call k has the weight 1/k, so the first replaces the old ones."""
    calls = dict.fromkeys(norms, 0)
    momenta = {norm: norm.momentum for norm in norms}

    def count(norm: nn.Module, _: object) -> None:
        calls[norm] += 1
        norm.momentum = 1 / calls[norm]  # type: ignore[assignment]

    hooks = [norm.register_forward_pre_hook(count) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for norm, momentum in momenta.items():
            norm.momentum = momentum
