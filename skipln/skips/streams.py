"""What the connections of several streams share; no connection itself."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Stream = tuple[Tensor, ...]


def weighted(weights: Tensor, stream: Stream) -> Tensor:
    """Σ_i w_i H_i; weights: [n], or [n, …] with dimensions that multiply a stream."""
    first, *others = (weight * part for weight, part in zip(weights, stream, strict=True))
    return sum(others, first)


def sinkhorn(logits: Tensor, steps: int, eps: float) -> Tensor:
    """A matrix [n, n, …] of positive elements whose columns sum to 1, and its rows the nearer the more steps."""
    m = logits.softmax(1) + eps
    m = m / (m.sum(0, keepdim=True) + eps)
    for _ in range(steps - 1):
        m = m / (m.sum(1, keepdim=True) + eps)
        m = m / (m.sum(0, keepdim=True) + eps)
    return m


class Bounded(nn.Module):
    """a·φv/rms(v) + b for each b, a and φ of its own; v: the n streams of a position in one vector.

    Of the shape of b, and behind it dimensions that multiply a stream. biases: b at the start, the first [n]; a starts
    at 0.01, φ as N(0, 0.02²), which is our choice.
    """

    def __init__(self, dim: int, channels: int, *biases: Tensor) -> None:
        super().__init__()
        self.channels, self.sizes = channels, [bias.numel() for bias in biases]
        self.phi = nn.Parameter(0.02 * torch.randn(sum(self.sizes), len(biases[0]) * dim))
        self.scales = nn.Parameter(torch.full((len(biases),), 0.01))
        self.biases = nn.ParameterList(biases)

    def forward(self, stream: Stream) -> list[Tensor]:
        v = torch.cat([h.movedim(self.channels, -1) for h in stream], -1)
        z = (F.rms_norm(v, v.shape[-1:], eps=1e-6) @ self.phi.T).movedim(-1, 0).unsqueeze(self.channels)
        parts = zip(self.scales, z.split(self.sizes), self.biases, strict=True)
        return [a * part.unflatten(0, b.shape) + b.view(*b.shape, *[1] * v.dim()) for a, part, b in parts]
