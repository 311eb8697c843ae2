"""DenseFormer: after each layer comes a learned mean of all layers' outputs so far (arXiv 2402.02622)."""

import torch
from torch import Tensor, nn

from skipln.seam.connection import Branch, Place
from skipln.skips import register
from skipln.skips.pre_ln import PreLN

Stream = tuple[Tensor, tuple[Tensor, ...]]


@register("denseformer")
class DenseFormer(PreLN):
    """Pre-LN, and after layer l: x ← Σ_j α_j x_j, where x_0 is the stack's input and x_j layer j's output before its
    mean.

    Identity: pre-LN at the start, where α is 1 for the layer's own output and 0 for the others.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place) -> None:
        super().__init__(dim, layout=layout, place=place)
        if place.ends_layer:
            self.alpha = nn.Parameter(torch.eye(place.layer + 1)[-1])

    def enter(self, x: Tensor) -> Stream:
        return x, (x,)

    def forward(self, stream: Stream, branch: Branch, mask: Tensor | None = None) -> Stream:  # type: ignore[override]
        x, outputs = stream
        x = super().forward(x, branch, mask)
        if not self.place.ends_layer:
            return x, outputs
        outputs = (*outputs, x)
        first, *others = (alpha * output for alpha, output in zip(self.alpha, outputs, strict=True))
        return sum(others, first), outputs

    def leave(self, stream: Stream) -> Tensor:  # type: ignore[override]
        return super().leave(stream[0])
