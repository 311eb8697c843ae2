"""Pre-LN: the norm in front of the branch (Xiong et al. 2020)."""

from torch import Tensor, nn

from skipln.norms import layer_norm
from skipln.seam.connection import Branch, Connection, Place
from skipln.skips import register


@register("pre_ln")
class PreLN(Connection):
    """y = x + F(LN x), and one more LN behind the stack's last site; gains 1 and biases 0 at the start.

    Connections that differ only in what F reads write `read`, those that differ in the sum write `join`.
    Identity: `skip` with `pre_norm`. Deviation: in a ResNet every stage is a stack, and so has a last LN.
    """

    def __init__(self, dim: int, *, layout: str = "btc", place: Place) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.norm = layer_norm(dim, layout)
        self.last_norm = layer_norm(dim, layout) if place.last else nn.Identity()

    def read(self, x: Tensor) -> Tensor:
        """What F reads of x."""
        return self.norm(x)

    def join(self, x: Tensor, f: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + f

    def forward(self, x: Tensor, branch: Branch, mask: Tensor | None = None) -> Tensor:
        return self.join(x, branch(self.read(x)), mask)

    def leave(self, stream: Tensor) -> Tensor:
        return self.last_norm(stream)
