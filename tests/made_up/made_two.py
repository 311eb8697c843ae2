"""A connection that carries a dict of two tensors and whose `leave` has parameters."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from skipln.norms import Norm, layer_norm
from skipln.seam.connection import Branch, Connection
from skipln.seam.place import Place
from skipln.skips import register


@register("made_two")
class MadeTwo(Connection):
    """Streams a ← a + F(LN a), b ← a or b + F (`second`); at the end a + g⊙b, g learned."""

    def __init__(
        self,
        dim: int,
        *,
        layout: str = "btc",
        place: Place,
        norm: Norm = layer_norm,
        second: Literal["sum", "last"] = "sum",
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.norm, self.second = norm(dim, layout), second
        if place.last:
            self.gain = nn.Parameter(torch.full((dim,) if layout == "btc" else (dim, 1, 1), 0.1))

    def enter(self, x: Tensor) -> dict[str, Tensor]:
        return {"a": x, "b": torch.zeros_like(x)}

    def forward(self, stream: Any, branch: Branch, mask: Tensor | None = None) -> Any:
        a, b = stream["a"], stream["b"]
        f = branch(self.norm(a, mask))
        return {"a": a + f, "b": f + b if self.second == "sum" else f}

    def leave(self, stream: Any) -> Tensor:
        return stream["a"] + self.gain * stream["b"]
