"""Recompute all that results/ states from what is committed beside it, and say what cannot be: make verify-results

Of each table: every page, picture, mean, difference, interval and test over runs (rendered anew, byte by byte), each
run's verdict of divergence (by its curve), and the difference that each test over sentences was made of. Of each
figure: its page and pictures. The p-values over sentences need the statistics of single sentences, which stay in the
run folders: they are counted, not verified. Exit status 1 where something does not agree.
"""

import argparse
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from skipln.figures import manifest as figure_manifest
from skipln.figures.render import render as render_figure
from skipln.system.places import EXPERIMENTS, RESULTS
from skipln.tables import store
from skipln.tables.judging import judged
from skipln.tables.manifest import load
from skipln.tables.presentation.render import render

TOLERANCE = 0.005  # in BLEU: a record's score is sacreBLEU's, a comparison's that of the sentences' statistics


def rendering(folder: Path, sources: tuple[str, ...], write: Callable[[Path], None]) -> Iterator[str]:
    """Which files of `folder` are not what `write` makes of `sources` alone in a copy of it."""
    with TemporaryDirectory() as place:
        again = Path(place) / folder.parent.name / folder.name
        again.mkdir(parents=True)
        for name in sources:
            shutil.copy(folder / name, again)
        write(again)
        for name in sorted({path.name for path in (*folder.iterdir(), *again.iterdir())}):
            paths = folder / name, again / name
            if not all(path.is_file() for path in paths) or paths[0].read_bytes() != paths[1].read_bytes():
                yield f"{folder / name}: not what its numbers give; render it again and read the difference"


def table(folder: Path, experiments: Path) -> Iterator[str]:
    """What does not agree in the table of `folder`."""
    manifest, scale = load(folder.name, experiments), folder.parent.name
    files = ("records.jsonl", "curves.jsonl", "comparisons.jsonl")
    yield from rendering(folder, files, lambda again: render(manifest, scale, again))
    records, curves = store.read_records(folder), store.read_curves(folder)
    for record in records:
        if record.hash not in curves:
            yield f"{folder}: run {record.hash} has no curve, by which its verdict could be verified"
        elif judged(record, curves[record.hash]) != record:
            yield f"{folder}: run {record.hash} has diverged by its curve: python -m scripts.judge_divergence"
    for comparison in store.read_comparisons(folder):
        means = []
        for row in (comparison.row, comparison.baseline):
            sides = [r for r in records if (r.row, r.column) == (row, comparison.column) and r.hash in comparison.runs]
            means.append([v for record in sides if (v := record.metrics.get(comparison.metric)) is not None])
        if not all(means) or sum(map(len, means)) != len(comparison.runs):
            yield f"{folder}: {comparison.row} is compared in runs that are not in the records"
            continue
        difference = statistics.fmean(means[0]) - statistics.fmean(means[1])
        if abs(difference - comparison.difference) > TOLERANCE:
            yield f"{folder}: {comparison.row} differs by {difference:.4f}, its comparison says {comparison.difference}"


def figure(folder: Path, experiments: Path) -> Iterator[str]:
    """What does not agree in the figure of `folder`."""
    manifest, scale = figure_manifest.load(folder.name, experiments), folder.parent.name
    files = ("sites.csv", "nets.csv", "about.json")
    yield from rendering(folder, files, lambda again: render_figure(manifest, scale, again))


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
    for problem in found:
        print(problem)
    runs = {record.hash for folder in tables for record in store.read_records(folder)}
    resampled = sum(len(store.read_comparisons(folder)) for folder in tables)
    print(f"{len(tables)} tables of {len(runs)} runs and {len(figures)} figures recomputed: {len(found)} disagree")
    print(f"not verified: the {resampled} p-values over sentences, whose statistics are not committed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
