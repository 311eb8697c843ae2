"""Count the bytes that work on a GPU must move, from its shapes alone, without a GPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")  # of tensors that have a shape and a dtype, but no memory
FREE = {"detach", "alias", "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "unbind", "split"}


class Operations(TorchDispatchMode):
    """Sums `total`, the bytes of every operation's inputs and outputs, each counted once; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view and func.overloadpacket.__name__ not in FREE:
            read, written = (
                {id(t): t.nbytes for t in tree_leaves(part) if isinstance(t, Tensor)}
                for part in ((args, kwargs), found)
            )
            self.total += sum(read.values()) + sum(written.values())
        return found


def operations(work: Callable[[], object]) -> int:
    """Return the bytes that torch's operations move for `work`, one after another, backward included."""
    with Operations() as counted:
        work()
    return counted.total


class Launches:
    """Stands for modules of Triton kernels. `found`: for each kernel launched, the bytes of its tensors, each once."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def __getattr__(self, kernel: str) -> Any:
        return _Kernel(self.found, kernel)


class _Kernel:
    def __init__(self, found: dict[str, int], name: str) -> None:
        self.found, self.name = found, name

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*arguments: Any, **_: Any) -> None:
            tensors = {id(t): t.nbytes for t in arguments if isinstance(t, Tensor)}
            self.found[self.name] = self.found.get(self.name, 0) + sum(tensors.values())

        return launch


@contextmanager
def launches() -> Iterator[dict[str, int]]:
    """Count the launches of our kernels in this context instead of making them."""
    counted = Launches()
    with (
        patch("skipln.ops.residual_norm.cuda.kernels", lambda: counted),
        patch("skipln.ops.residual_norm.cuda_maps.launch.kernel", lambda _: counted),
        patch("skipln.ops.cuda_cross_entropy.kernels", lambda: counted),
    ):
        yield counted.found
