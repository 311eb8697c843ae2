"""The output layer and its cross-entropy, computed in chunks of positions so that no more logits are held at once."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skipln.ops.compiled import Kernel, cpu_kernel
from skipln.ops.cross_entropy import smoothed_cross_entropy
from skipln.ops.linear import across, linear

SOURCE = Path(__file__).with_suffix(".cpp")
CHUNK = 512  # positions: enough for products as fast as those of all positions at once


def output_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """`smoothed_cross_entropy(hidden Wᵀ, targets, ε)`.

    hidden: [positions, dim]. weight: [vocabulary, dim]. targets: int64 [positions]. On the CPU, in float32 and bfloat16
    (autocast's too), a compiled kernel overwrites a chunk's logits with their gradient, from which those of hidden and
    weight are computed at once, so memory does not grow with positions · vocabulary. Elsewhere all logits are held.
    Raises IndexError for a target outside the vocabulary (with the kernel).
    """
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden.dtype
    here = hidden.device.type == "cpu" and len(hidden) > 0 and not torch.compiler.is_compiling()
    kernel = cpu_kernel(SOURCE, kind) if here else None
    if kernel is None:
        return smoothed_cross_entropy(linear(hidden, weight), targets, smoothing)
    if int(targets.min()) < 0 or int(targets.max()) >= len(weight):
        raise IndexError(f"a target is not an id of the {len(weight)} words")
    wanted = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    return _OutputCrossEntropy.apply(hidden, weight, targets, smoothing, kind, kernel, wanted)


class _OutputCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, smoothing: float, kind: torch.dtype, kernel: Kernel,
        wanted: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            inputs, weights = hidden.to(kind).contiguous(), weight.to(kind)
            epsilon = torch.tensor([smoothing])
            sums = torch.empty(len(hidden), 2, dtype=torch.float64)
            of_hidden = torch.empty_like(inputs) if wanted else None
            of_weight: Tensor | None = None
            for part in (slice(i, i + CHUNK) for i in range(0, len(hidden), CHUNK)):
                logits = linear(inputs[part], weights)
                sizes = (*logits.shape, int(wanted), torch.get_num_threads())
                kernel(sizes, logits, targets[part].contiguous(), epsilon, sums[part])
                if of_hidden is not None:
                    of_hidden[part] = linear(logits, weights.t())
                    product = across(logits, inputs[part])
                    # A float32 sum of products in `kind`.
                    of_weight = product.float() if of_weight is None else of_weight.add_(product)
            nll, mean = sums.sum(0).float()
            total = (1 - smoothing) * nll + smoothing * mean if smoothing else nll.clone()
        if of_hidden is not None and of_weight is not None:
            ctx.save_for_backward(of_hidden, of_weight.contiguous())
        ctx.kinds = hidden.dtype, weight.dtype
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients = zip(ctx.saved_tensors, ctx.kinds, strict=True)
        return *((gradient.float() * total_gradient).to(kind) for gradient, kind in gradients), *(None,) * 5
