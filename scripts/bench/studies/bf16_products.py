"""bfloat16's products of matrices where the processor has none.

`python -m scripts.bench.studies.bf16_products KEY=VALUE …` is a run of skipln.train whose products
are of float32, their sums too, rounded to bfloat16 once: what AVX512-BF16 and AMX compute, up to the order of the sums,
and here an order of magnitude faster than torch's own. It says what bfloat16 does to a result, nothing of its speed.
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
    """(A B)ᵢⱼ = bfloat16(Σₖ Aᵢₖ Bₖⱼ), the sum in float32, for A and B of bfloat16."""

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
