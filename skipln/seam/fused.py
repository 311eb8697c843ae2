"""What a fast kernel may do instead of a connection's `join`: the `_ln` forms in one pass over x and F(x)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from skipln.ops.choice import CHOICE
from skipln.ops.residual_norm import fused, scaled_residual_norm
from skipln.seam.connection import Branch, DroppedBranch

# Below this many elements a call costs more than its arithmetic, and torch's own calls cost least.
SMALLEST = 0 if CHOICE == "always" else 1 << 17

_enabled = CHOICE != "0"


@contextmanager
def one_pass(enabled: bool) -> Iterator[None]:
    """Allow or forbid the kernels (SKIPLN_FUSED=0 forbids them for a whole process); only rounding differs."""
    global _enabled
    before, _enabled = _enabled, enabled
    try:
        yield
    finally:
        _enabled = before


def join_in_one_pass(
    join: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    x: Tensor,
    branch: Branch,
    mask: Tensor | None,
    *,
    norms: Sequence[Any],
    steps: int = 1,
    scale: float = 1.0,
) -> Tensor:
    """Return join(x, F(x), mask), computed by a kernel where that is faster.

    `join` must be y_0 = F(x), y_k = norm_k(scale·x + y_{k−1}) with output y_steps. norms: one for each step, or one for
    all steps. The kernel draws the branch's dropout as it reads F.
    """
    p = 0.0
    if isinstance(branch, DroppedBranch):
        f, p = branch.function(x), branch.dropout.p if branch.dropout.training else 0.0
    else:
        f = branch(x)
    if _fits(x, f, norms, more=steps > 1 or p > 0):
        first = norms[0]
        return scaled_residual_norm(
            x, f, [norm.weight for norm in norms], [norm.bias for norm in norms],
            steps=steps, scale=scale, eps=first.eps, dropout=p, layout=first.layout,
        )  # fmt: skip
    return join(x, branch.dropout(f) if isinstance(branch, DroppedBranch) else f, mask)


def _fits(x: Tensor, f: Tensor, norms: Sequence[Any], more: bool) -> bool:
    """Return whether a kernel computes the same faster: for LNs without hooks, tensors of a fitting dtype and size.

    more: there is more to compute than an addition and one LN. For those alone no kernel is faster than torch: the
    CPU's is not, and the GPU's loses by the cost of its launches (results/bench/nvidia-h200/gpu.json).
    """
    return (
        _enabled
        and x.numel() >= SMALLEST
        and more
        and all(getattr(norm, "in_one_pass", False) for norm in norms)
        and not any(norm._forward_hooks or norm._forward_pre_hooks or norm._backward_hooks for norm in norms)
        and timed(x.device, norms[0].layout)
        and fused(x, f, norms[0].layout)
    )


def timed(device: torch.device, layout: str) -> bool:
    """Return whether a kernel may run that must have been faster in a measurement: with "always", any may.

    No GPU has timed the kernels of feature maps yet (`python -m scripts.bench.gpu --parts maps` does).
    """
    return CHOICE == "always" or device.type != "cuda" or layout == "btc"
