"""Recompute everything in results/ from the committed records, and say what does not agree: make verify-results

For each table: every page, picture, mean, difference, interval and test, over runs and over test examples (rendered
again and compared byte by byte), each run's score (from the statistics of its test examples, if they are kept) and
whether it diverged (from its curve). For each figure: its page and pictures. Also results/README.md, its picture, and
what README shows of them. The exit status is 1 if something does not agree.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.evidence.__main__ import made
from scripts.pages.readme import README, readme
from skipln.figures import manifest as figure_manifest
from skipln.figures.render import render as render_figure
from skipln.system.places import EXPERIMENTS, RESULTS
from skipln.system.printing import exit_status
from skipln.tables import store
from skipln.tables.judging import judged
from skipln.tables.manifest import load
from skipln.tables.metrics import METRICS
from skipln.tables.presentation.render import render
from skipln.tables.statistics.comparisons import agrees
from skipln.tables.statistics.significance import SCORES


def rendering(folder: Path, sources: Sequence[str], write: Callable[[Path], None]) -> Iterator[str]:
    """A line for each file of `folder` that differs from what `write` makes from `sources` alone in another folder."""
    with TemporaryDirectory() as place:
        again = Path(place) / folder.parent.name / folder.name
        again.mkdir(parents=True)
        for name in sources:
            if (folder / name).is_dir():
                shutil.copytree(folder / name, again / name)
            else:
                shutil.copy(folder / name, again)
        write(again)
        for name in sorted({str(path.relative_to(base)) for base in (folder, again) for path in base.rglob("*")}):
            if _content(folder / name) != _content(again / name):
                yield f"{folder / name}: differs from what its numbers give; render it again and read the difference"


def _content(path: Path) -> bytes | str | None:
    return path.read_bytes() if path.is_file() else "a folder" if path.is_dir() else None


def table(folder: Path, experiments: Path) -> Iterator[str]:
    """A line for everything that does not agree in the table of `folder`."""
    manifest, scale = load(folder.name, experiments), folder.parent.name
    sources = [name for name in store.SOURCES if (folder / name).exists()]
    yield from rendering(folder, sources, lambda again: render(manifest, scale, again))
    kept = store.read(folder)
    records, curves = kept.records, kept.curves
    for stray in sorted(kept.examples.keys() - {record.hash for record in records}):
        yield f"{folder}: {store.EXAMPLES}/{stray}.xz belongs to no run in the records"
    for record in records:
        for metric in (METRICS[name] for name in record.metrics if name in METRICS):
            if metric.key in SCORES and record.hash in kept.examples and not agrees(metric, record, kept.examples):
                yield f"{folder}: the test examples of run {record.hash} do not give the {metric.label} of its record"
        if record.hash not in curves:
            yield f"{folder}: run {record.hash} has no curve that would show whether it diverged"
        elif judged(record, curves[record.hash]) != record:
            yield f"{folder}: run {record.hash} diverged according to its curve: python -m scripts.judge_divergence"


def figure(folder: Path, experiments: Path) -> Iterator[str]:
    """A line for everything that does not agree in the figure of `folder`."""
    manifest, scale = figure_manifest.load(folder.name, experiments), folder.parent.name
    files = ("sites.csv", "nets.csv", "about.json")
    yield from rendering(folder, files, lambda again: render_figure(manifest, scale, again))


def evidence(results: Path, experiments: Path) -> Iterator[str]:
    """A line for each of the claims' page, its picture and README that differs from what the records give."""
    files = {results / name: content for name, content in made(results, experiments).items()}
    for path, content in {**files, README: readme()}.items():
        if _content(path) != content.encode():
            yield f"{path}: differs from what the records give; make results writes it again"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verify_results", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    parser.add_argument("--experiments", type=Path, default=EXPERIMENTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    tables = sorted(path.parent for path in options.results.glob("*/*/records.jsonl"))
    figures = sorted(path.parent for path in options.results.glob("*/*/sites.csv"))
    found = [problem for folder in tables for problem in table(folder, options.experiments)]
    found += [problem for folder in figures for problem in figure(folder, options.experiments)]
    found += list(evidence(options.results, options.experiments)) if options.results == RESULTS else []
    for problem in found:
        print(problem)
    runs = {record.hash: record.state for folder in tables for record in store.read_records(folder)}
    scored = {path.stem for folder in tables for path in (folder / store.EXAMPLES).glob("*.xz")}
    finished = sum(state == "done" for state in runs.values())
    print(f"{len(tables)} tables of {len(runs)} runs and {len(figures)} figures recomputed: {len(found)} disagree")
    print(f"scores recomputed from test examples for the {len(scored)} of {finished} finished runs that keep them")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
