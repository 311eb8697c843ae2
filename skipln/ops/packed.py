"""Weights laid out once for many products with few rows, in float32 or bfloat16."""

from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from skipln.ops.compiled import compiled, cpu_kernel

SOURCE = Path(__file__).with_suffix(".cpp")


class Packed:
    """The function x -> x Wᵀ + b without gradients, of a float32 weight W [out, in] and a bias b [out] or None.

    It keeps copies of both. precision float32: an output is the sum of its products in the order of the inputs, by
    fused multiplications and additions, so it depends neither on the other rows of x nor on the processor's lanes.
    bfloat16: W and x are rounded to it; products and sums are float32, in any order. A compiled kernel computes it on
    the CPU; that of bfloat16 needs a processor that multiplies bfloat16, and elsewhere float32's takes its place.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, precision: torch.dtype = torch.float32) -> None:
        self.out, self.inputs = weight.shape
        self.weight = weight.detach().to(precision).float()
        self.bias = weight.new_zeros(self.out) if bias is None else bias.detach()
        self.kernel = None
        library = compiled(SOURCE) if weight.device.type == "cpu" else None
        native = library is not None and hasattr(library, f"packed_{str(precision).removeprefix('torch.')}")
        self.rounds = precision == torch.bfloat16 and not native  # x, before the product
        if library is not None:
            self.kernel = cpu_kernel(SOURCE, torch.float32 if self.rounds else precision)
            self.panels, self.padded_bias = self._in_panels(library.packed_width())
            if precision == torch.bfloat16 and native:
                self.panels = _paired(self.panels)

    @classmethod
    def where_it_helps(cls, weight: Tensor, bias: Tensor | None, precision: torch.dtype) -> Self | None:
        """Return None for another weight than float32, and for float32 itself where it has no kernel."""
        packed = cls(weight, bias, precision) if weight.dtype == torch.float32 else None
        return packed if packed is not None and (packed.kernel or precision != torch.float32) else None

    def __call__(self, x: Tensor) -> Tensor:
        """Return float32 [..., out] of float32 x [..., in]."""
        if self.rounds:
            x = x.bfloat16().float()
        if self.kernel is None:
            return F.linear(x, self.weight, self.bias)
        out = x.new_empty(*x.shape[:-1], self.out)
        sizes = (out.numel() // self.out, self.inputs, self.out, torch.get_num_threads())
        self.kernel(sizes, x.contiguous(), self.panels, self.padded_bias, out)
        return out

    def _in_panels(self, width: int) -> tuple[Tensor, Tensor]:
        """Return the weight as [panels, in, width] and the bias as [panels · width], with zeros behind the last."""
        missing = -self.out % width
        panels = F.pad(self.weight, (0, 0, 0, missing)).unflatten(0, (-1, width)).mT.contiguous()
        return panels, F.pad(self.bias, (0, missing))


def _paired(panels: Tensor) -> Tensor:
    """Return [panels, in, width] as bfloat16 [panels, pairs, width, 2]: two adjacent inputs side by side."""
    even = F.pad(panels, (0, 0, 0, panels.size(1) % 2))
    return even.unflatten(1, (-1, 2)).mT.bfloat16().contiguous()
