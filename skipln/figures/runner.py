"""`make figureN`: measure the nets that are missing, then join, render and print."""

import io
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from skipln.errors import UserError
from skipln.figures import measuring
from skipln.figures.manifest import Manifest
from skipln.figures.numbers import Net, join, write
from skipln.figures.points import Point, points
from skipln.figures.render import render
from skipln.runs.result import read_result
from skipln.system.allocator import keep_freed_memory
from skipln.system.places import EXPERIMENTS
from skipln.system.processes import end_with_parent, interrupting
from skipln.system.progress import progress_bar
from skipln.tables.execution.launching import say
from skipln.tasks import create_task


def run(
    manifest: Manifest, scale: str, folder: Path, experiments: Path = EXPERIMENTS, extra: Sequence[str] = ()
) -> int:
    """Make the figure in `folder` and print its page on stdout; return 0, or 1 if a net could not be measured.

    Finished runs that are missing are left out with a line on stderr. Raises UserError for a user's mistake, and
    KeyboardInterrupt when stopped; finished measurements are kept.
    """
    planned = points(manifest, scale, experiments, extra)
    unmeasured = [point for point in planned if measuring.read(point) is None]
    missing = [point for point in unmeasured if point.run is None or read_result(point.run) is not None]
    say(f"{manifest.name} · {scale}: {len(planned) - len(unmeasured)} of {len(planned)} nets are measured")
    for model in manifest.at(scale).models:
        if absent := sum(point.model == model.name for point in unmeasured if point not in missing):
            say(f"{absent} nets have no finished run here: make {model.of} SCALE={scale}")
    if lacking := [point.lacks for point in missing if point.lacks]:
        raise UserError(lacking[0])
    failures = measure_all(missing, manifest.at(scale).threads) if missing else []
    if not (found := _found(planned)):
        raise UserError(f"{manifest.name}: no net is measured")
    changed = write(folder, join(found, f"make {manifest.name} SCALE={scale}"))
    if changed or not (folder / "figure.md").is_file():
        render(manifest, scale, folder, pdf=True)
    print((folder / "figure.md").read_text(encoding="utf-8"), end="")
    say(f"\nin {folder}: figure.md, sites.csv, nets.csv, *.svg, *.pdf")
    for failure in failures:
        say(failure)
    return 1 if failures else 0


def _found(planned: Sequence[Point]) -> list[Net]:
    return [(point, found) for point in planned if (found := measuring.read(point)) is not None]


def measure_all(missing: Sequence[Point], threads: int) -> list[str]:
    """Measure nets in processes that load torch once; return a line for each net that failed."""
    for point in {point.model: point for point in missing}.values():
        create_task(point.config)  # fetch and prepare the data once, where the user sees it
    at_once = min(len(missing), max(1, len(os.sched_getaffinity(0)) // threads))
    failures = []
    with (
        interrupting(),
        ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn"), _prepare) as pool,
        progress_bar(len(missing), "net") as bar,
    ):
        futures = {pool.submit(measuring.make, point): point for point in missing}
        try:
            for future in as_completed(futures):
                bar.update()
                error = future.exception()
                if isinstance(error, UserError | BrokenProcessPool):
                    raise error
                if error is not None:
                    failures.append(f"{futures[future].describe()}: {type(error).__name__}: {error}".splitlines()[0])
        except BrokenProcessPool as error:
            raise UserError("a measuring process was killed (out of memory?); the same command continues") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _stop()
            raise
    return failures


def _stop() -> None:
    """End the processes. They are told repeatedly, because a training that stops lets its process take the next one."""
    while processes := multiprocessing.active_children():
        for process in processes:
            process.terminate()
        time.sleep(0.2)


def _prepare() -> None:
    """Set up a new process: it ends only with or by the parent, prints nothing, and is as fast as a run."""
    end_with_parent()
    os.setsid()  # Ctrl-C then reaches only the parent, which ends us; also gives us our own share of the cores
    sys.stderr = io.StringIO()  # hides the bars of single trainings; errors return through the pool
    keep_freed_memory()
    torch.set_flush_denormal(True)
