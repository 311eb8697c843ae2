"""The optimizer that a configuration describes."""

from collections.abc import Iterable

import torch
from torch import nn

from skipln.configuration.schema import Adam, Sgd


def create_optimizer(config: Adam | Sgd, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Create the optimizer of `config`, with fused kernels on CPU and GPU; the loop sets its rate at every update."""
    if isinstance(config, Adam):
        beta1, beta2 = config.betas
        return torch.optim.Adam(
            parameters, config.lr, (beta1, beta2), config.eps, weight_decay=config.weight_decay, fused=True
        )
    return torch.optim.SGD(
        parameters, config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
    )
