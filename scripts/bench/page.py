"""The table of all records under results/bench/: `python -m scripts.bench.page` writes README.md there anew."""

import argparse
import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scripts.bench.harness import RESULTS
from scripts.bench.tried import TRIED
from skipln.files import atomic_write

HEAD = """# Speed against named peers

Every row is a file beside this page, made by `make bench BENCH=NAME`: both sides really run, interleaved in one process
under one allocator. The ratio is the median over n pairs [quartiles]; above 1 ours is faster. CPU is the same ratio in
the process's own CPU time, which other work on the machine changes less (–: worker processes do the work). The goals
were set for a processor that multiplies bf16 itself.

| | ratio | CPU | n | ours, s | peer, s | goal | ours | peer | work | found |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- | --- | --- |
"""
PICTURE = """
What an update costs (`python -m scripts.bench.cost`; numbers, machine and commit in [cost.csv](cost.csv)):

![milliseconds an update against λ, layers, length and vocabulary](cost.svg)
"""


def page(folder: Path = RESULTS) -> str:
    """The page as Markdown, from the records in `folder`."""
    records = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    rows = "".join(map(row, (record for record in records if "ratio" in record)))
    picture = PICTURE if (folder / "cost.svg").exists() else ""
    return HEAD + rows + _costs(records) + _scores(records) + picture + _machines(records) + _profiles(records)


def row(record: dict[str, Any]) -> str:
    """One line of the table."""
    ours, peer = (_median(record["seconds"][side]) for side in ("ours", "peer"))
    cells = [
        f"`{record['name']}`",
        f"**{record['ratio']:.2f}** [{record['p25']:.2f}–{record['p75']:.2f}]",
        _cpu(record),
        record["n"],
        f"{ours:.3g}",
        f"{peer:.3g}",
        record["goal"] or "–",
        record["ours"],
        record["peer"],
        record["work"],
        record.get("found", "–"),
    ]
    return f"| {' | '.join(map(str, cells))} |\n"


def _cpu(record: dict[str, Any]) -> str:
    """The ratio of CPU times, where the work of both sides is done in the process that was watched."""
    shares = [_median(record["cpu_seconds"][side]) / _median(record["seconds"][side]) for side in ("ours", "peer")]
    return f"{record['cpu_ratio']:.2f}" if min(shares) > 0.6 else "–"


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _costs(records: list[dict[str, Any]]) -> str:
    """What has a limit of its own."""
    lines = [
        f"- `{record['name']}`: {cost['what']}: {_mean(cost['seconds'])} s by the clock (limit {cost['limit']:g} s), "
        f"{_mean(cost['processor'])} s of a processor, n = {len(cost['seconds'])}\n"
        for record in records
        for cost in record.get("costs", ())
    ]
    return "\nWhat has a limit of its own:\n\n" + "".join(lines) if lines else ""


def _scores(records: list[dict[str, Any]]) -> str:
    """What must not suffer from speed."""
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
    """Where the time goes in what missed its goal, and what was tried."""
    lines = []
    for record in records:
        for side, shares in record.get("profile", {}).items():
            if shares:
                said = ", ".join(f"{name} {share:.0f} %" for name, share in shares.items())
                lines.append(f"- `{record['name']}`, {side}: {said}\n")
        if "profile" in record and record["name"] in TRIED:
            lines.append(f"- `{record['name']}`, tried: {TRIED[record['name']]}.\n")
    head = "\nWhat missed its goal, under torch's profiler on one thread: operators' own shares of the time.\n\n"
    return head + "".join(lines) if lines else ""


def write_page(folder: Path = RESULTS) -> None:
    with atomic_write(folder / "README.md", "w") as file:
        file.write(page(folder))


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m scripts.bench.page", description=__doc__).parse_args()
    write_page()
