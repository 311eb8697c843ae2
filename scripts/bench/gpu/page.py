"""The section of the bench page about a GPU's record."""

from statistics import median
from typing import Any

from scripts.bench.gpu.kernels import launched

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
KERNELS = """
Each Triton kernel alone in bf16, in a CUDA graph, in µs, with as many elements of a row per lane as in a run. The floor
is the time to move the bytes that forward, or backward with its sums, must move, at the speed of the copy.

| rows × channels, λ | forward | floor | backward, rows | and sums | floor |
| --- | ---: | ---: | ---: | ---: | ---: |
"""


def section(record: dict[str, Any]) -> str:
    """The section's body in Markdown. It names each part that failed, with the reason."""
    environment, parts = record["environment"], [record.get("updates"), record.get("updates_compiled")]
    times: list[float] = next((update["milliseconds"] for part in parts for update in _found(part).values()), [])
    text = TEXT.format(
        commit=environment["commit"],
        dirty=" with uncommitted changes" if environment["dirty"] else "",
        torch=environment["torch"],
        copy=record["copy_gb_per_second"],
        n=len(times),
    )
    for part, kind in zip(parts, ("", ", torch.compile"), strict=True):
        for name, update in _found(part).items():
            numbers = f"{update['gflop']:,.0f} | {update['tflop_per_second_of_products']:,.0f}"
            numbers += f" | {median(update['milliseconds']):.1f} | {update['tokens_per_second']:,}"
            text += f"| {name}{kind} | {numbers} | {100 * update['share']:.0f} % |\n"
    distributed = _found(record.get("distributed"))
    for kind in ("bare", "ddp") if distributed else ():
        time = median(distributed[kind]["milliseconds"])
        text += f"| base, {kind}, one rank, {distributed['backend']} | – | – | {time:.1f} | – | – |\n"
    text += SITE
    for name, case in _found(record.get("residual_site")).items():
        text += f"| {name} | {case['error']:.1e} | {case['milliseconds']:.2f} | {case['torch_milliseconds']:.2f}"
        text += f" | {case['gb_per_second']:,.0f} |\n"
    kernels = _found(record.get("kernels"))
    text += KERNELS if kernels else ""
    for name, case in kernels.items():
        floor = {part: moved / record["copy_gb_per_second"] / 1000 for part, moved in case["floor_bytes"].items()}
        channels, steps = map(int, name.split("×")[1].split(" λ="))
        forward, backward = (case[kernel] for kernel in launched(channels, steps))
        text += f"| {name} | {forward:.0f} | {floor['forward']:.0f} | {backward:.0f}"
        text += f" | {case['backward_weights']:.0f} | {floor['backward']:.0f} |\n"
    failed = {name: part["failed"] for name, part in record.items() if isinstance(part, dict) and "failed" in part}
    return text + "".join(f"\nNot measured: {name}: {why}.\n" for name, why in failed.items())


def _found(part: Any) -> dict[str, Any]:
    return part if isinstance(part, dict) and "failed" not in part else {}
