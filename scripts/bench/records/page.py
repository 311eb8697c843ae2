"""The page of all records under results/bench/: `python -m scripts.bench.records.page` writes README.md there."""

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scripts.bench.gpu import floors
from scripts.bench.gpu import page as gpu
from scripts.bench.records.cost_picture import picture
from scripts.bench.records.hardware import RESULTS
from scripts.bench.records.tried import TRIED
from skipln.report.picture import write
from skipln.system.files import atomic_write
from skipln.system.printing import exit_status

HEAD = """# Speed against named peers

Every row is a file in a folder beside this page (one folder per hardware), made by `make bench BENCH=NAME`. Both sides
are really run, interleaved in one process under one allocator.

- share: the part of our time that the machine needs for the products alone (matrix products; convolutions for images),
  which are repeated with the same shapes between the pairs: FLOPs / the rate at which it multiplies them / our time. It
  would be 1 for a step that does nothing else.
- ratio: the peer's time / ours; above 1 ours is faster. CPU is the same ratio in the process's own CPU time, which
  other work on the machine affects less (–: worker processes do the work).

All numbers are medians over n pairs [quartiles], with the goal after ≥.
"""
TABLE = """
| | ratio | peer | work | share | ours, s |
| --- | ---: | --- | --- | ---: | ---: |
"""
MORE = """
<details><summary>What ours is, n, the peer's time, CPU, and other findings</summary>

| | ours | n | peer, s | CPU | found |
| --- | --- | ---: | ---: | ---: | --- |
"""
PICTURE = """
The cost of an update (`python -m scripts.bench.studies.cost`; numbers, machine and commit in [cost.csv]({0}/cost.csv)):

![milliseconds per update against λ, layers, length and vocabulary]({0}/cost.svg)
"""


def page(results: Path = RESULTS) -> str:
    """The page as Markdown, from the records in the folders of `results`."""
    folders = sorted(path for path in results.iterdir() if path.is_dir())
    return HEAD + "".join(map(_section, folders)) + floors.section(results)


def _section(folder: Path) -> str:
    """The section about one hardware."""
    if (folder / "gpu.json").exists():
        record = json.loads((folder / "gpu.json").read_text("utf-8"))
        return f"\n## {record['hardware']}\n{gpu.section(record)}"
    records = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    named = [record["hardware"] for record in records if "hardware" in record]
    compared = sorted((record for record in records if "ratio" in record), key=_place)
    shown = PICTURE.format(folder.name) if (folder / "cost.svg").exists() else ""
    return (
        f"\n## {named[0] if named else folder.name}\n"
        + "".join(map(_rates, records))
        + _tally(compared)
        + TABLE
        + "".join(map(row, compared))
        + (f"{MORE}{''.join(map(more, compared))}\n</details>\n" if compared else "")
        + _costs(records)
        + _scores(records)
        + shown
        + _machines(records)
        + _profiles(records)
    )


def _place(record: dict[str, Any]) -> tuple[bool, str]:
    """The sort key: records with a share, which measure whole steps, come first."""
    return "share" not in record, record["name"]


def _rates(record: dict[str, Any]) -> str:
    """A sentence about the speed of the machine itself."""
    if "gflops" not in record:
        return ""
    rates = (
        f"{precision} {' and '.join(f'{rate:,.0f} ({size})' for size, rate in of.items())}"
        for precision, of in record["gflops"].items()
    )
    return (
        f"\nIt reaches {', '.join(rates)} GFLOP/s in products with a step's shapes, forward and both gradients, and "
        f"copies memory at {record['copy_gb']:.0f} GB/s, read and written (n = {record['n']}).\n"
    )


def _tally(records: list[dict[str, Any]]) -> str:
    """What a reader wants first: how often ours is faster, and how often it reaches its goal."""
    if not records:
        return ""
    faster = sum(record["p25"] > 1 for record in records)
    slower = sum(record["p75"] < 1 for record in records)
    goals = [record for record in records if record["goal"]]
    reached = sum(record["ratio"] >= record["goal"] for record in goals)
    return (
        f"\nIn {len(records)} comparisons, ours is faster in {faster} and slower in {slower} (in three quarters of the "
        f"pairs), and similar in {len(records) - faster - slower}; {reached} of {len(goals)} goals for a ratio "
        "are reached.\n"
    )


def row(record: dict[str, Any]) -> str:
    """One line of the table."""
    cells = [
        f"`{record['name']}`",
        _figure(record, "ratio", "", record["goal"]),
        record["peer"],
        record["work"],
        _figure(record, "share", "share_", record.get("share_goal")) if "share" in record else "–",
        f"{_median(record['seconds']['ours']):.3g}",
    ]
    return f"| {' | '.join(map(str, cells))} |\n"


def more(record: dict[str, Any]) -> str:
    """One line of the folded table."""
    cells = [f"`{record['name']}`", record["ours"], record["n"], f"{_median(record['seconds']['peer']):.3g}"]
    return f"| {' | '.join(map(str, [*cells, _cpu(record), record.get('found', '–')]))} |\n"


def _figure(record: dict[str, Any], name: str, prefix: str, goal: float | None) -> str:
    """Median, quartiles and goal."""
    low, high = record[f"{prefix}p25"], record[f"{prefix}p75"]
    return f"**{record[name]:.2f}** [{low:.2f}–{high:.2f}]" + (f" ≥ {goal:g}" if goal else "")


def _cpu(record: dict[str, Any]) -> str:
    """The ratio of CPU times, if both sides do their work in the measured process."""
    shares = [_median(record["cpu_seconds"][side]) / _median(record["seconds"][side]) for side in ("ours", "peer")]
    return f"{record['cpu_ratio']:.2f}" if min(shares) > 0.6 else "–"


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _costs(records: list[dict[str, Any]]) -> str:
    """The costs that have a limit."""
    lines = [
        f"- `{record['name']}`: {cost['what']}: {_mean(cost['seconds'])} s of wall-clock time (limit "
        f"{cost['limit']:g} s), {_mean(cost['processor'])} s of processor time, n = {len(cost['seconds'])}\n"
        for record in records
        for cost in record.get("costs", ())
    ]
    return "\nCosts with a limit:\n\n" + "".join(lines) if lines else ""


def _scores(records: list[dict[str, Any]]) -> str:
    """The scores that must not suffer from speed."""
    lines = []
    for record in (record for record in records if "scores" in record):
        sides = "; ".join(
            f"{side} {_mean(values)}, n = {len(values)}" for side, values in record["scores"]["of"].items()
        )
        lines.append(f"- `{record['name']}`: {record['scores']['what']}: {sides}\n")
    return "\nWhat must not suffer from speed (± the seeds' standard deviation):\n\n" + "".join(lines) if lines else ""


def _mean(values: list[float]) -> str:
    spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{fmean(values):.1f}{spread}"


def _machines(records: list[dict[str, Any]]) -> str:
    lines: dict[str, list[str]] = {}
    for record in records:
        e = record["environment"]
        line = f"{e['device'] if e['device'] != 'cpu' else e['cpu']}, {e['threads']} thread(s), torch {e['torch']}, "
        line += f"{record['allocator']}, commit {e['commit']}{' with changes' if e['dirty'] else ''}"
        lines.setdefault(line, []).append(f"`{record['name']}`")
    return "".join(f"\n- {line}: {', '.join(names)}" for line, names in lines.items()) + "\n"


def _profiles(records: list[dict[str, Any]]) -> str:
    """Where the time goes in the parts that were profiled, and what was tried."""
    lines = []
    for record in records:
        for side, shares in record.get("profile", {}).items():
            if shares:
                said = ", ".join(f"{name} {share:.1f} %" for name, share in shares.items())
                lines.append(f"- `{record['name']}`, {side}: {said}\n")
        if "profile" in record and (tried := TRIED.get((record["name"], record["precision"]))):
            lines.append(f"- `{record['name']}`, tried: {tried}.\n")
    head = (
        "\nParts that missed their goal, and beam search, in torch's profiler on one thread: operators' own shares of "
        "the time that is spent in operators, our C++ kernels among them.\n\n"
    )
    return head + "".join(lines) if lines else ""


def write_page(results: Path = RESULTS) -> None:
    """README.md in `results`, and the picture of every folder there that has a cost.csv."""
    for numbers in sorted(results.glob("*/cost.csv")):
        write({"cost": picture(numbers.parent)}, numbers.parent)
    with atomic_write(results / "README.md", "w") as file:
        file.write(page(results))


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m scripts.bench.records.page", description=__doc__).parse_args()
    sys.exit(exit_status(write_page))
