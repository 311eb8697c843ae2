"""Batch normalisation (Ioffe & Szegedy 2015) of feature maps and of rows, with a relu behind it where one follows."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.ops.compiled import Kernel, cpu_kernel

SOURCE = Path(__file__).with_suffix(".cpp")


def batch_norm(
    x: Tensor, running_mean: Tensor, running_variance: Tensor, gain: Tensor, bias: Tensor, *,
    training: bool, momentum: float, eps: float, relu: bool = False,
) -> Tensor:  # fmt: skip
    """y = g ⊙ (x − mean) / √(variance + eps) + b for each channel, or relu(y).

    x: [positions, channels] or [batch, channels, height, width]. In training the statistics are those of x over all
    that is no channel, and the running ones move towards them by `momentum`, the variance as Σ(x − mean)² / (n − 1);
    else the running ones are taken. On the CPU, in training, in float32 and bfloat16, where a pixel's channels are
    neighbours in memory, by a compiled kernel: it reads x twice and writes y once, and the backward finds where the
    relu was from x. Elsewhere `plain_batch_norm`.
    """
    tensors = (running_mean, running_variance, gain, bias)
    if training and _dense(x) and not torch.compiler.is_compiling():
        forward, backward = (cpu_kernel(SOURCE, x.dtype, part) for part in ("", "_backward"))
        plain = all(t.dtype == torch.float32 and t.device == x.device and t.is_contiguous() for t in tensors)
        if forward is not None and backward is not None and plain:
            return _BatchNorm.apply(x, *tensors, momentum, eps, relu, forward, backward)
    return plain_batch_norm(x, *tensors, training=training, momentum=momentum, eps=eps, relu=relu)


def plain_batch_norm(
    x: Tensor, running_mean: Tensor | None, running_variance: Tensor | None, gain: Tensor, bias: Tensor, *,
    training: bool, momentum: float, eps: float, relu: bool,
) -> Tensor:  # fmt: skip
    """The same by torch's own operations."""
    y = F.batch_norm(x, running_mean, running_variance, gain, bias, training, momentum, eps)
    return F.relu(y, inplace=True) if relu else y


def _dense(x: Tensor) -> bool:
    """Whether x lies in memory as [positions][channels], on the CPU."""
    if x.dim() not in (2, 4) or x.device.type != "cpu" or x.numel() <= x.size(1):
        return False
    return x.is_contiguous(memory_format=_form(x))


def _form(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.dim() == 4 else torch.contiguous_format


class _BatchNorm(torch.autograd.Function):
    """By the kernel; a backward that is differentiated itself takes the plain form."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, running_mean: Tensor, running_variance: Tensor, gain: Tensor, bias: Tensor,
        momentum: float, eps: float, relu: bool, forward: Kernel, backward: Kernel,
    ) -> Tensor:  # fmt: skip
        y, statistics = torch.empty_like(x), gain.new_empty(2, len(gain))
        settings = torch.tensor([eps, momentum])
        forward(_sizes(x, relu), x, gain, bias, settings, running_mean, running_variance, statistics, y)
        ctx.save_for_backward(x, gain, bias, statistics)
        ctx.eps, ctx.relu, ctx.kernel = eps, relu, backward
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, bias, statistics = ctx.saved_tensors
        if torch.is_grad_enabled():
            y = plain_batch_norm(x, None, None, gain, bias, training=True, momentum=0.0, eps=ctx.eps, relu=ctx.relu)
            of_x, of_gain, of_bias = torch.autograd.grad(y, (x, gain, bias), gradient, create_graph=True)
        else:
            gradient, of_x = gradient.contiguous(memory_format=_form(x)), torch.empty_like(x)
            of_gain, of_bias = gradients = torch.empty_like(statistics)
            ctx.kernel(_sizes(x, ctx.relu), x, gain, bias, statistics, gradient, of_x, gradients)
        return of_x, None, None, of_gain, of_bias, *(None,) * 5


def _sizes(x: Tensor, relu: bool) -> tuple[int, ...]:
    return x.numel() // x.size(1), x.size(1), int(relu), torch.get_num_threads()
