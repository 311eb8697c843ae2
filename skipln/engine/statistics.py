"""Batch norm's statistics for weights that were averaged."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric
from torch import nn

from skipln.data.seeds import mixed
from skipln.tasks.task import Task

BATCHES = 100  # micro-batches, or a whole epoch where it has fewer


def estimate_statistics(model: nn.Module, task: Task, fabric: Fabric, seed: int) -> None:
    """Make the running mean and variance of every batch norm in `model` the plain means of those of BATCHES
    micro-batches of the training data, in training mode; nothing happens in a net without one.

    The running statistics in a checkpoint belong to its own weights: their mean over checkpoints is not that of the
    averaged weights, in any task (Izmailov et al. 2018, section 3.2). Batches and dropout are a function of `seed`.
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
    """Running statistics as plain means over calls: the k-th counts 1/k, so the first replaces what was there."""
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
