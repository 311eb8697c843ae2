"""The autograd functions that made a tensor: they show which implementation ran, without changing the code."""

from torch import Tensor


def functions(tensor: Tensor) -> set[str]:
    """Return the names of all autograd functions that led to `tensor`, such as "AddBackward0"."""
    found, todo = set(), [tensor.grad_fn]
    while todo:
        if (node := todo.pop()) is not None and node not in found:
            found.add(node)
            todo.extend(before for before, _ in node.next_functions)
    return {node.name() for node in found}
