"""The norm of a gradient, measured without changing it."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return ‖∂loss/∂θ‖₂ over all parameters that have a gradient, a float64 scalar; 0 if none has.

    The squares are summed in float64. In float32 they would overflow for gradients beyond 1e19, and the norm of finite
    numbers must be finite.
    """
    norms = [torch.linalg.vector_norm(p.grad, dtype=torch.float64) for p in parameters if p.grad is not None]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros((), dtype=torch.float64)
