"""Pre-LN: the norm comes before the branch (Xiong et al. 2020)."""

from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register


@register("pre_ln")
class PreLN(Connection):
    """y = x + F(LN x), and one more LN after the stack's last site; gains start at 1 and biases at 0.

    A subclass overrides `read` if it changes only what F reads, and `join` if it changes the sum.
    Identity: `skip` with `pre_norm`. Deviation: in a ResNet every stage is a stack, and so has a last LN.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.norm = layer_norm(dim, layout)
        self.last_norm = layer_norm(dim, layout) if place.last else nn.Identity()

    def read(self, x: Tensor) -> Tensor:
        """Return what F reads of x."""
        return self.norm(x)

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + f

    def forward(self, x: Tensor, branch: Branch, mask: Tensor | None = None) -> Tensor:
        return self.join(x, branch(self.read(x)), mask)

    def leave(self, stream: Tensor) -> Tensor:
        return self.last_norm(stream)
