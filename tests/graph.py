"""What made a tensor, by autograd's account of it: which way was taken is seen without touching the code."""

from torch import Tensor


def functions(tensor: Tensor) -> set[str]:
    """The names of all autograd functions behind `tensor`, such as "AddBackward0"."""
    found, todo = set(), [tensor.grad_fn]
    while todo:
        if (node := todo.pop()) is not None and node not in found:
            found.add(node)
            todo.extend(before for before, _ in node.next_functions)
    return {node.name() for node in found}
