"""One pass over one batch before training, for connections whose initialisation depends on the activations."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from skipln.seam.connection import Connection


def unprofiled(net: nn.Module) -> Iterator[Connection]:
    """Yield the sites of `net` that must still be profiled before they are trained."""
    for site in net.modules():
        if isinstance(site, Connection) and not getattr(site, "profiled", True):
            yield site


@torch.no_grad()
def profile(net: nn.Module, run: Callable[[], Any]) -> None:
    """Call `run`, one pass of `net` over a batch, and `profile` each unprofiled site as the pass meets it.

    What else the pass changes in the net, such as BN's running statistics, is restored.
    """
    sites = list(unprofiled(net))
    if not sites:
        return
    at = {(site.place.stack, site.place.index): site for site in sites}
    others = [(buffer, buffer.clone()) for name, buffer in net.named_buffers() if not name.endswith(".profiled")]
    with ExitStack() as hooks:
        for site in sites:
            hooks.enter_context(site.register_forward_pre_hook(_watched(at)))  # the hook is removed with the context
        run()
    for buffer, before in others:
        buffer.copy_(before)


def _watched(at: dict[tuple[str, int], Connection]) -> Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]:
    def before(site: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        x, branch, *rest = arguments
        following = at.get((site.place.stack, site.place.index + 1))

        def watched(h: Tensor) -> Tensor:
            f = branch(h)
            site.profile(x, f, rest[0] if rest else None, following)
            return f

        return (x, watched, *rest)

    return before
