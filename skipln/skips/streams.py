"""What connections with several streams share; not a connection itself."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Stream = tuple[Tensor, ...]


def weighted(weights: Tensor, stream: Stream) -> Tensor:
    """Return Σ_i w_i H_i. weights: [n], or [n, …] with dimensions that multiply a stream."""
    first, *others = (weight * part for weight, part in zip(weights, stream, strict=True))
    return sum(others, first)


def sinkhorn(logits: Tensor, steps: int, eps: float) -> Tensor:
    """Return a positive matrix [n, n, …]. Its columns sum to 1; the more steps, the closer its rows come to that."""
    m = logits.softmax(1) + eps
    m = m / (m.sum(0, keepdim=True) + eps)
    for _ in range(steps - 1):
        m = m / (m.sum(1, keepdim=True) + eps)
        m = m / (m.sum(0, keepdim=True) + eps)
    return m


class Bounded(nn.Module):
    """Computes a·φv/rms(v) + b for each b, with an a and φ of its own; v is a position's n streams as one vector.

    Each result has the shape of b, then dimensions that multiply a stream. biases: each b at the start, the first of
    shape [n]. a starts at 0.01, φ as N(0, 0.02²), which is our choice.
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
