"""The residual site alone, forward and backward, against its plain form, for every λ and precision."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from scripts.bench.records.harness import Part, Sides
from skipln import skips
from skipln.seam.fused import one_pass

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
ROWS, CHANNELS = 4096, 512
REPEATS = 10  # sites per measurement, because one takes only milliseconds


def sides(lam: int, precision: str, rows: int = ROWS, channels: int = CHANNELS) -> Sides:
    """rSkip+LN on [1, rows, channels] as in a model, against step by step; `found` says how much each keeps."""
    torch.manual_seed(0)
    site = skips.create("rskip_ln", channels, lam=lam)
    x, f, gradient = (torch.randn(1, rows, channels).to(KINDS[precision]) for _ in range(3))
    leaves = (x.requires_grad_(), f.requires_grad_(), *site.parameters())

    def run(enabled: bool, _k: int = 0, repeats: int = REPEATS) -> None:
        for _ in range(repeats):
            with one_pass(enabled):
                site(x, lambda _: f).backward(gradient)
            for leaf in leaves:
                leaf.grad = None

    def found() -> dict[str, object]:
        ours, plain = (kept(partial(run, enabled, repeats=1), x.numel()) for enabled in (True, False))
        return {"kept": {"ours": ours, "peer": plain}, "found": f"keeps {ours:.2f} activations, plain {plain:.2f}"}

    return Sides(partial(run, True), partial(run, False), found)


def kept(work: Callable[[], object], activation: int) -> float:
    """The memory that autograd keeps for `work`, in units of `activation` elements; shared memory counts once."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        sizes[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return round(sum(sizes.values()) / activation, 2)


GOALS = {("bf16", 4): 2.2, ("fp32", 4): 1.6}
PARTS = [
    Part(f"rskip-site-{lam}-{kind}", "skipln's residual norm, {precision}", "its plain steps, the same precision",
         f"{REPEATS} × rSkip+LN, λ = {lam}, forward and backward, [{ROWS}, {CHANNELS}]", partial(sides, lam),
         n=30, warmup=3, precision=kind, goal=GOALS.get((kind, lam), 1.0))
    for kind in KINDS for lam in (1, 2, 4, 8)
]  # fmt: skip
