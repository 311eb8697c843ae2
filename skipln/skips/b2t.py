"""B2T: post-LN with a connection from a layer's bottom to its top (Takase et al. 2022)."""

from torch import Tensor

from skipln.norms import Norm, layer_norm
from skipln.seam.connection import Branch, BranchModule, Connection, Place
from skipln.skips import register

Stream = tuple[Tensor, Tensor]


@register("b2t")
class B2T(Connection):
    """m = LN(x + F(x)) at each site of a layer but the last, which gives LN(b + m + F(m)); b is the layer's input.

    scale_init: whether F's matrices start L^(−½) times as large, in a stack of L layers.
    Identity: post-LN if a layer has only one site, as in a ResNet, since b is then m. norm: LN, or any other.
    """

    def __init__(
        self, dim: int, *, layout: str = "btc", place: Place, norm: Norm = layer_norm, scale_init: bool = True
    ) -> None:
        super().__init__(dim, layout=layout, place=place)
        self.scale_init = scale_init
        self.norm = norm(dim, layout)

    def enter(self, x: Tensor) -> Stream:
        return x, x

    def forward(self, stream: Stream, branch: Branch, mask: Tensor | None = None) -> Stream:
        x, bottom = stream
        y = x + branch(x)
        if self.place.ends_layer and not self.place.begins_layer:
            y = bottom + y
        y = self.norm(y, mask)
        return y, y if self.place.ends_layer else bottom

    def leave(self, stream: Stream) -> Tensor:
        return stream[0]

    def init_branch(self, branch: BranchModule) -> None:
        if self.scale_init:
            for weight in branch.weights().values():
                weight.mul_(self.place.layers**-0.5)
