"""torchvision's residual blocks with an open residual site: the same parts under the same names, but another sum."""

from typing import Any

from torch import Tensor, nn

from skipln.seam.connection import Connection


class ConvertedBlock(nn.Module):
    """relu(site(x, F)), where F is the block's convolutions with their norms; downsample(x) replaces x if it exists."""

    def __init__(self, block: Any, sites: list[Connection]) -> None:
        super().__init__()
        for name, part in block.named_children():
            setattr(self, name, part)
        self.downsample, self.stride = block.downsample, block.stride
        (self.site,) = sites
        # Not in place, since the connection's output may be needed for its gradient.
        self.last = nn.ReLU() if type(block.relu) is nn.ReLU else block.relu

    def forward(self, x: Tensor) -> Tensor:
        y = self.site(x if self.downsample is None else self.downsample(x), lambda _: self._branch(x))
        return self.last(self.site.leave(y) if self.site.place.last else y)

    def _branch(self, x: Tensor) -> Tensor:
        parts: Any = self
        f = parts.bn2(parts.conv2(parts.relu(parts.bn1(parts.conv1(x)))))
        return parts.bn3(parts.conv3(parts.relu(f))) if hasattr(self, "conv3") else f
