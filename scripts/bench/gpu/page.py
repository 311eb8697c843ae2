"""The section of the bench page about a GPU's record."""

from statistics import median
from typing import Any

from scripts.bench.gpu.counts import site
from scripts.bench.gpu.kernels import launched

KERNEL_NAMES = ("forward_rows", "backward_rows", "backward_weights")
TEXT = """
Made by `python -m scripts.bench.gpu` in one session at commit {commit}{dirty}, torch {torch}.
A copy in its memory moves {copy:,} GB/s, read and written. Times are medians of n = {n} wall-clock times, each with a
wait for the GPU. They include the CPU's cost of launching kernels, which at these sizes is more than the work.

An update of a post-LN Transformer in bf16; share is FLOPs of its products / their measured rate / its time.

| | products, GFLOP | measured, TFLOP/s | ms | tokens/s | share |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
SITE = """
A residual site, forward and backward: the largest error of y and all gradients in float32 against torch's layer norms
(relative to the largest number), and times in bf16. GB/s counts eight activations, the fewest that must be moved.

| rows × channels, λ | error | ours, ms | torch's layer norms, ms | ours, GB/s |
| --- | ---: | ---: | ---: | ---: |
"""
UPDATES = {"updates": "", "updates_by_kernels": ", cross-entropy by kernels", "updates_compiled": ", torch.compile"}
MAPS = """
The same for feature maps, channels last.

| examples × channels × height × width, λ | error | ours, ms | torch's group norms, ms | ours, GB/s |
| --- | ---: | ---: | ---: | ---: |
"""
KERNELS = """
Each Triton kernel of rows alone in bf16, in a CUDA graph, in µs, with as many elements of a row per lane as in a run.
A floor is the time to move the bytes that the kernel before it must move (counted at the end of this page), at the
speed of the copy. The time of the sums includes torch's sum over the programs; their floor is the kernel's alone. What
has just been read or written may still be in the GPU's cache, which is faster than this.

| rows × channels, λ | forward | floor | backward, rows | floor | and sums | floor |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""
MAP_KERNELS = """
The kernels of feature maps alone, in µs / their floors in µs.

| maps, λ | {} |
| --- | {} |
"""
LOSS = """
Label-smoothed cross-entropy of bf16 logits, forward and backward: ms, the gradient's largest error relative to its
largest number, and MB of memory beside the logits.

| positions × words | kernels | plain | torch's own |
| --- | ---: | ---: | ---: |
"""


def section(record: dict[str, Any]) -> str:
    """The section's body in Markdown. It names each part that failed, with the reason."""
    environment, parts = record["environment"], [record.get(name) for name in UPDATES]
    times: list[float] = next((update["milliseconds"] for part in parts for update in _found(part).values()), [])
    text = TEXT.format(
        commit=environment["commit"],
        dirty=" with uncommitted changes" if environment["dirty"] else "",
        torch=environment["torch"],
        copy=record["copy_gb_per_second"],
        n=len(times),
    )
    for part, kind in zip(parts, UPDATES.values(), strict=True):
        for name, update in _found(part).items():
            numbers = f"{update['gflop']:,.0f} | {update['tflop_per_second_of_products']:,.0f}"
            numbers += f" | {median(update['milliseconds']):.1f} | {update['tokens_per_second']:,}"
            text += f"| {name}{kind} | {numbers} | {100 * update['share']:.0f} % |\n"
    distributed = _found(record.get("distributed"))
    for kind in ("bare", "ddp") if distributed else ():
        time = median(distributed[kind]["milliseconds"])
        text += f"| base, {kind}, one rank, {distributed['backend']} | – | – | {time:.1f} | – | – |\n"
    text += SITE + _sites(_found(record.get("residual_site")))
    if maps := _found(record.get("maps")):
        text += MAPS + _sites(maps)
    if kernels := _found(record.get("kernels")):
        text += KERNELS + "".join(_kernels(*item, record["copy_gb_per_second"]) for item in kernels.items())
    if kernels := _found(record.get("map_kernels")):
        names = list(next(iter(kernels.values())))
        text += MAP_KERNELS.format(" | ".join(names), " | ".join(["---:"] * len(names)))
        text += "".join(_map_kernels(*item, record["copy_gb_per_second"]) for item in kernels.items())
    if losses := _found(record.get("cross_entropy")):
        text += LOSS + "".join(map(_loss, losses.items()))
    failed = {name: part["failed"] for name, part in record.items() if isinstance(part, dict) and "failed" in part}
    return text + "".join(f"\nNot measured: {name}: {why}.\n" for name, why in failed.items())


def _sites(cases: dict[str, Any]) -> str:
    return "".join(
        f"| {name} | {case['error']:.1e} | {case['milliseconds']:.2f} | {case['torch_milliseconds']:.2f}"
        f" | {case['gb_per_second']:,.0f} |\n"
        for name, case in cases.items()
    )


def _counts(name: str) -> dict[str, int]:
    """The bytes of each kernel of the site called `name`."""
    shape, steps = name.split(" λ=")
    return site(tuple(map(int, shape.split("×"))), int(steps))[0]


def _kernels(name: str, times: dict[str, float], copy: float) -> str:
    channels, steps = map(int, name.split("×")[1].split(" λ="))
    moved = _counts(name)
    cells = [
        f"{times[timed]:.0f} | {moved[kernel] / copy / 1000:.0f}"
        for timed, kernel in zip((*launched(channels, steps), "backward_weights"), KERNEL_NAMES, strict=True)
    ]
    return f"| {name} | {' | '.join(cells)} |\n"


def _map_kernels(name: str, times: dict[str, float], copy: float) -> str:
    moved = _counts(name)
    cells = [f"{time:.0f} / {moved[kernel] / copy / 1000:.0f}" for kernel, time in times.items()]
    return f"| {name} | {' | '.join(cells)} |\n"


def _loss(item: tuple[str, Any]) -> str:
    name, sides = item
    cells = [f"{s['milliseconds']:.2f}, {s['error']:.0e}, {s['peak_mb']:,.0f}" for s in sides.values()]
    return f"| {name} | {' | '.join(cells)} |\n"


def _found(part: Any) -> dict[str, Any]:
    return part if isinstance(part, dict) and "failed" not in part else {}
