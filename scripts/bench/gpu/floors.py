"""The section of the bench page about the bytes that work on a GPU must move, counted from shapes without a GPU.

Two of its sentences join these counts with what was measured: the speed of a copy and the time of an update in a GPU's
record, and the time in which runs on that GPU translated their test set.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from scripts.bench.gpu.counts import TORCHS, beam_attention, cross_entropy, site
from scripts.bench.gpu.kernels import SHAPES
from scripts.bench.gpu.residual import MAPS, Shape, name_of
from skipln.tables.store import Record, read_records

STEPS = (1, 2, 4, 8)
POSITIONS, WORDS = 128 * 32, 32_000  # of an update in scripts.bench.gpu.updates
COLUMN, LENGTH = "multi30k", 30  # table 2's, and tokens of a sentence: twice as many as it has on average
FEW = 10  # sentences that are counted; all others move as much
TEXT = """
## What work on a GPU must move

Counted from the shapes, in MB, without a GPU (`scripts.bench.gpu.counts`): for each Triton kernel all tensors that it
is given, each once, and for torch every operation's inputs and outputs, forward and backward. No kernel can be faster
than these bytes at the speed of the memory. The column "ours" includes torch's sums of the weights' gradients.

Residual sites in bf16, with a gain and a bias for each step:

| rows × channels, λ | {rows} | ours | torch's steps |
| --- | {rows_line} | ---: | ---: |
"""
MAPS_TEXT = """
Feature maps, channels last:

| examples × channels × height × width, λ | {maps} | ours | torch's steps |
| --- | {maps_line} | ---: | ---: |
"""
LOSS = """
Label-smoothed cross-entropy of the {positions:,} × {words:,} bf16 logits of an update of Transformer-base: torch's
operations move {torch:,.0f} MB, our two kernels {ours:,.0f} MB. At the speed of a copy on one {hardware} these bytes
take {torch_ms:.1f} ms and {ours_ms:.2f} ms (calculated). The update's products take {products:.1f} ms at the rate
measured there, and the whole update, which mostly waits for launches, took {update:.1f} ms (median, measured). So in an
update that does not wait, the loss by torch's operations would take longer than all products. It needs kernels on a
GPU, and has them.
"""
BEAM = """
Beam attention: for translating {sentences:,} sentences of {length} tokens with a beam of {beam}, all attentions in the
decoder of table 2's small net (fp32, {length} tokens in a translation too, no past that hypotheses share) move
{attention:,.1f} GB by torch's operations, {attention_ms:.1f} ms at that speed (calculated). Runs on one {hardware},
which they shared with others, took {test:.1f} s for their {sentences:,} test sentences with that beam (median of
n = {runs}, measured). So a kernel could save {share:.1f} % of the time in bytes, and a launch from Triton costs more
than one of torch's (the residual site with λ = 1 above). Beam attention needs no kernel on a GPU.
"""


def section(bench: Path) -> str:
    """The section in Markdown; its times are those of the first GPU that has a record. Empty if no GPU has one."""
    records = sorted(bench.glob("*/gpu.json"))
    if not records:
        return ""
    record = json.loads(records[0].read_text("utf-8"))
    text = ""
    for template, key, shapes, lambdas in ((TEXT, "rows", SHAPES, STEPS), (MAPS_TEXT, "maps", MAPS, STEPS[1:])):
        cases = [(shape, steps, site(shape, steps)) for shape in shapes for steps in lambdas]
        names = [name for name in cases[0][2][0] if name != TORCHS]
        text += template.format(**{key: " | ".join(names), f"{key}_line": " | ".join(["---:"] * len(names))})
        text += "".join(_row(*case, names) for case in cases)
    return text + _loss(record) + _beam(record, read_records(bench.parent / "small" / "table2"))


def _row(shape: Shape, steps: int, counts: tuple[dict[str, int], int], names: list[str]) -> str:
    ours, torchs = counts
    cells = [f"{moved / 1e6:,.1f}" for moved in (*(ours[name] for name in names), sum(ours.values()), torchs)]
    return f"| {name_of(shape, steps)} | {' | '.join(cells)} |\n"


def _loss(record: dict[str, Any]) -> str:
    kernels, torchs = cross_entropy(POSITIONS, WORDS)
    ours, update, speed = sum(kernels.values()), record["updates"]["base"], record["copy_gb_per_second"] * 1e6
    return LOSS.format(
        positions=POSITIONS,
        words=WORDS,
        torch=torchs / 1e6,
        ours=ours / 1e6,
        hardware=record["hardware"],
        torch_ms=torchs / speed,
        ours_ms=ours / speed,
        products=update["gflop"] / update["tflop_per_second_of_products"],
        update=median(update["milliseconds"]),
    )


def _beam(record: dict[str, Any], runs: Sequence[Record]) -> str:
    """What the attentions of these runs' decoders move, beside the time that those on the record's GPU took to test."""
    hardware = record["hardware"]
    here = [
        run for run in runs
        if run.column == COLUMN and run.state == "done" and run.environment.get("device") == hardware
    ]  # fmt: skip
    if not here:
        return ""
    net, beam, sentences = here[0].config["model"], here[0].config["task"]["beam"], here[0].data.test_examples
    moved = beam_attention(FEW, beam, LENGTH, net["dim"], net["heads"], torch.float32) * net["decoder_layers"]
    moved *= sentences / FEW
    taken, test = moved / record["copy_gb_per_second"] / 1e9, median(run.test_seconds for run in here)
    return BEAM.format(
        sentences=sentences,
        length=LENGTH,
        beam=beam,
        attention=moved / 1e9,
        attention_ms=1000 * taken,
        hardware=hardware,
        test=test,
        runs=len(here),
        share=100 * taken / test,
    )
