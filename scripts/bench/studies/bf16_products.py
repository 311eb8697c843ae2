"""bfloat16 matrix products on processors that have no instructions for them.

`python -m scripts.bench.studies.bf16_products KEY=VALUE …` is a run of skipln.train whose products and their sums are
computed in float32 and rounded to bfloat16 once. AVX512-BF16 and AMX compute the same, up to the order of the sums;
here it is an order of magnitude faster than torch's own. This shows bfloat16's effect on a result, not on speed.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from skipln import train

aten = torch.ops.aten
PRODUCTS = {aten.mm.default, aten.bmm.default, aten.addmm.default, aten.baddbmm.default}


class Bf16Products(TorchDispatchMode):
    """(A B)ᵢⱼ = bfloat16(Σₖ Aᵢₖ Bₖⱼ) for A and B in bfloat16, with the sum in float32."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in PRODUCTS or args[0].dtype != torch.bfloat16:
            return func(*args, **(kwargs or {}))
        return func(*tree_map_only(Tensor, Tensor.float, args), **(kwargs or {})).to(torch.bfloat16)


def main(arguments: list[str]) -> int:
    with Bf16Products():
        return train.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
