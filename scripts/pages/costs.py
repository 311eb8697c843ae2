"""What every table costs at every scale: `python -m scripts.pages.costs` writes docs/costs.md.

GPU-hours are those of `make TABLE SCALE=… DRY=1`. Hours on two cores are measured if a run of the row and column was
recorded on a CPU; otherwise they are its arithmetic divided by the rate that our recorded runs sustain.
"""

import sys
from collections.abc import Iterable
from statistics import median

from skipln.configuration.schema import RunConfig, TextTraining
from skipln.report.markdown import in_cell
from skipln.system.files import atomic_write
from skipln.system.places import RESULTS, ROOT
from skipln.system.printing import exit_status
from skipln.tables.cells import Cell, cells
from skipln.tables.execution.cost import ASSUMED, flops, gpu_hours
from skipln.tables.manifest import load, names
from skipln.tables.store import Record, read_records

PAGE = ROOT / "docs" / "costs.md"
HEAD = """# What the tables cost

`make pages` makes this page from the manifests and the committed records. A run is one row, one column and one seed;
`seeds` is the default of `make TABLE SCALE=…`, and costs grow in proportion to them. Finished runs are not repeated,
and `DRY=1` prints the runs with their commands.

| table | scale | columns | seeds | runs | hours on two cores | GPU-hours |
| --- | --- | --- | ---: | ---: | ---: | ---: |
"""
TAIL = """
- Hours on two cores: with processes that use both, as `make` starts them. They are measured if a run of the same row
  and column was recorded on a CPU ({measured:,} of the runs above). ~ marks a sum with estimates: a run's arithmetic
  (6 FLOPs per weight and token, or per multiply-add and image) over the median rate of a core in our recorded runs,
  {text:.0f} GFLOP/s for text (n = {text_n}) and {images:.1f} for images (n = {images_n}).
- GPU-hours: measured if a run of the row and column was recorded on a GPU; a run that shared its GPU with other small
  runs counts as if it had been alone. Otherwise {assumed}.
- `test` is for CI, `demo` for a CPU, `small` for one machine, `paper` for a GPU cluster, where hours on two cores are
  only for comparison. The seconds that a process takes to start are not counted.
"""


def rates(records: Iterable[Record]) -> dict[str, list[float]]:
    """FLOP/s of a core in every run that was recorded on a CPU, by unit."""
    found: dict[str, list[float]] = {"tokens": [], "images": []}
    for record in records:
        if _on_cpu(record) and record.state == "done" and record.train_seconds:
            try:
                config = RunConfig.model_validate(_whole(record.config))
            except ValueError:  # written with an older schema
                continue
            threads = record.environment.get("threads") or 1
            found[_unit(config)].append(flops(config) / record.train_seconds / threads)
    return found


def _whole(config: dict) -> dict:
    """A record's configuration with the keys that it leaves out because they belong to a machine."""
    left_out = {
        "compute": {"accelerator": "cpu", "devices": 1, "nodes": 1, "threads": 1},
        "paths": {"runs": "runs", "cache": "data"},
        "tracker": {"name": "jsonl"},
        "launcher": {"name": "local"},
    }
    data = config.get("data", {})
    if data.get("kind") in ("parallel_text", "class_folders", "photographs", "published_images"):
        data = {"dir": "", **data}
    return {**left_out, **config, "data": data}


def core_hours(cell: Cell, records: list[Record], sustained: dict[str, float]) -> tuple[float, bool]:
    """(hours of one core, whether they were measured) for a run: the mean over the records of its row and column.

    An evaluation trains nothing and counts as its test, whose time is unknown until it is made. A search has no test.
    """
    parts = (not cell.config.inputs, not cell.setting)
    own = [
        (record.train_seconds * parts[0] + record.test_seconds * parts[1])
        * (record.environment.get("threads") or 1)
        / 3600
        for record in records
        if (record.row, record.column) == (cell.row.name, cell.column.name) and _on_cpu(record) and record.train_seconds
    ]
    if own:
        return sum(own) / len(own), True
    if cell.config.inputs:
        return 0.0, False
    return flops(cell.config) / sustained[_unit(cell.config)] / 3600, False


def page() -> str:
    """The whole page in Markdown."""
    manifests = [load(name) for name in names()]
    records = {(m.name, scale): read_records(RESULTS / scale / m.name) for m in manifests for scale in m.columns}
    found = rates(record for kept in records.values() for record in kept)
    sustained = {unit: median(values) for unit, values in found.items()}
    rows, measured = [], 0
    for manifest in manifests:
        for scale, columns in manifest.columns.items():
            if not columns:
                continue
            fewest, most = (f(len(manifest.seeds_of(scale, row)) for row in manifest.rows) for f in (min, max))
            seeds = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            asked = cells(manifest, scale, None)
            planned = [run for cell in asked for run in cell.runs]
            costs = [core_hours(cell, records[manifest.name, scale], sustained) for cell in planned]
            gpu = sum(gpu_hours(cell, records[manifest.name, scale])[0] for cell in planned)
            known = sum(was for _, was in costs)
            measured += known
            hours = sum(hours for hours, _ in costs) / 2
            rows.append(
                f"| {manifest.name} | {scale} | {' · '.join(in_cell(column.label) for column in columns)} | {seeds} | "
                f"{len(planned)} | {'' if known == len(costs) else '~'}{_hours(hours)} | {_hours(gpu)} |\n"
            )
    said = {"text": sustained["tokens"] / 1e9, "images": sustained["images"] / 1e9}
    counts = {"text_n": len(found["tokens"]), "images_n": len(found["images"])}
    return HEAD + "".join(rows) + TAIL.format(measured=measured, assumed=ASSUMED, **said, **counts)


def _on_cpu(record: Record) -> bool:
    return str(record.environment.get("device", "cpu")) == "cpu"


def _unit(config: RunConfig) -> str:
    return "tokens" if isinstance(config.training, TextTraining) else "images"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 0.1 else "< 0.1"


def main() -> None:
    text = page()
    with atomic_write(PAGE, "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(exit_status(main))
