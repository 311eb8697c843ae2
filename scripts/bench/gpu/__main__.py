"""Measure a GPU in a few minutes, with one command and one file.

    python -m scripts.bench.gpu --minutes 8 --cifar cifar10_jpeg.tar.gz --multi30k FOLDER --output gpu.tar.gz
    python -m scripts.bench.gpu --take gpu.tar.gz      # later, in a clone: files the record and the runs

This needs Python 3.11, torch 2.11 and this repository. It measures, in this order: the residual site against its
reference and against memory bandwidth, for rows and for feature maps, and each of its kernels alone; cross-entropy; the
tests that need a GPU; updates of base and big in bf16, plain, with the kernels that no GPU had timed, and compiled, as
a share of the measured product rate; DDP with one rank; then cells of tables 2 and 1 at the small scale until the
time is over.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from scripts.bench.gpu.archive import pack, unpack
from scripts.bench.gpu.cells import TABLES, planned, run_cells
from scripts.bench.gpu.kernels import kernel_times, map_kernel_times
from scripts.bench.gpu.loss import cross_entropy
from scripts.bench.gpu.residual import MAPS, SHAPES, residual_site
from scripts.bench.gpu.timing import bandwidth
from scripts.bench.gpu.updates import distributed, updates, updates_by_kernels
from skipln.engine.environment import describe
from skipln.errors import UserError
from skipln.runs.reading import read_config
from skipln.system.files import atomic_write
from skipln.system.places import RESULTS, ROOT
from skipln.tables import manifest as manifests
from skipln.tables.cells import cells
from skipln.tables.presentation.render import render
from skipln.tables.records import collect, recorded_seeds
from skipln.tables.runner import YOURS

RUNS = ROOT / "runs"
# Files and not a folder, because a bare machine cannot import all tests.
GPU_TESTS = (
    "tests/ops/residual_norm/test_triton.py",
    "tests/ops/residual_norm/test_triton_maps.py",
    "tests/ops/test_triton_cross_entropy.py",
    "tests/engine/test_optimizer.py",
    "tests/engine/devices/test_gpu.py",
)
LONGEST = 100  # seconds that one part may take, before the cells
PACKING = 10.0  # seconds left at the end for writing the file


def measure(options: argparse.Namespace) -> int:
    """Run every part in order; if one fails, the record says why, and the next one begins."""
    ends = time.monotonic() + 60 * options.minutes
    smoke = options.smoke
    device = torch.device("cpu" if smoke else "cuda")
    n = 2 if smoke else options.n
    environment = describe(device)
    record: dict[str, Any] = {
        "hardware": environment["cpu"] if smoke else environment["device"],
        "smoke": smoke,
        "environment": environment,
    }
    all_parts: dict[str, Callable[[], Any]] = {
        "copy_gb_per_second": lambda: bandwidth(device, n, 1 << 20 if smoke else 1 << 30),
        "residual_site": lambda: residual_site(device, n, ((4, 64),) if smoke else SHAPES),
        "kernels": lambda: "left out by --smoke" if smoke else kernel_times(),
        "maps": lambda: residual_site(device, n, ((2, 16, 4, 4),) if smoke else MAPS),
        "map_kernels": lambda: "left out by --smoke" if smoke else map_kernel_times(),
        "cross_entropy": lambda: "left out by --smoke" if smoke else cross_entropy(device, n),
        "tests": lambda: "left out by --smoke" if smoke else gpu_tests(),
        "updates": lambda: updates(device, n, smoke),
        "updates_by_kernels": lambda: updates_by_kernels(device, n, smoke),
        "updates_compiled": lambda: "left out by --smoke" if smoke else updates(device, n, smoke, compiled=True),
        "distributed": lambda: distributed(device, n, smoke),
    }
    names = list(all_parts) if options.parts is None else [name for name in options.parts.split(",") if name]
    if unknown := [name for name in names if name not in all_parts]:
        raise UserError(f"no part is called {', '.join(unknown)}: choose from {', '.join(all_parts)}")
    for name in names:
        part = all_parts[name]
        started = time.monotonic()
        record[name] = _tried(part)
        print(f"{name}: {time.monotonic() - started:.0f} s {_short(record[name])}", file=sys.stderr, flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    data = {"table2": options.multi30k, "table1": options.cifar}
    given = {table: path for table, path in data.items() if path is not None}
    seeds = range(1, options.seeds + 1)
    columns = [name for name in options.columns.split(",") if name]
    chosen = planned(given, "test" if smoke else "small", seeds, ["compute.threads=1"], columns)
    left = ends - time.monotonic() - PACKING
    record["tables"] = run_cells(chosen, left, options.at_once)
    pack(options.output, record, [cell.folder for cell in chosen])
    print(options.output)
    return 0


def gpu_tests() -> dict[str, Any]:
    """Run `pytest -m gpu`; return its status and last lines."""
    # Compilation takes longer than a part may; the part `updates_compiled` does it for one net.
    chosen = ["-m", "gpu", "-k", "not compiled", *GPU_TESTS]
    command = [sys.executable, "-m", "pytest", "-q", *chosen, "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST)
    return {"status": done.returncode, "output": done.stdout.strip().splitlines()[-30:]}


def take(archive: Path, runs: Path = RUNS, results: Path = RESULTS) -> None:
    """File the results: the record under results/bench, the runs under `runs`, and your tables made from these."""
    record, came = unpack(archive, runs)
    seeds_that_came = {int(read_config(runs / name).get("seed", 1)) for name in came}
    name = re.sub(r"[^a-z0-9]+", "-", str(record["hardware"]).lower()).strip("-")
    target = results / "bench" / name / "gpu.json"
    if record.keys() - {"hardware", "smoke", "environment", "tables"}:  # a session for cells alone measured nothing
        with atomic_write(target, "w") as file:
            file.write(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        print(target)
    for table in TABLES:
        manifest, folder = manifests.load(table), runs / YOURS.name / "small" / table
        own = range(1, manifest.seeds.get("small", 1) + 1)
        seeds = sorted({*own, *recorded_seeds(folder), *seeds_that_came})
        found = collect(manifest, cells(manifest, "small", seeds, [f"paths.runs={runs}"]), folder)
        render(manifest, "small", folder)
        print(f"{folder}: {len(found)} records; to publish them: make publish TABLE={table} SCALE=small")


def _tried(part: Callable[[], Any]) -> Any:
    def too_long(*_: Any) -> None:
        raise TimeoutError(f"not done after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST)
    try:
        return part()
    except Exception as error:  # time is short: a failure of one part must not stop the others
        return {"failed": f"{type(error).__name__}: {error}"[:2000]}
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _short(found: Any) -> str:
    return str(found)[:300] if not isinstance(found, dict) or "failed" in found or "status" in found else "measured"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.gpu", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--smoke", action="store_true", help="tiny sizes on the CPU, to check that the command works")
    parser.add_argument("--minutes", type=float, default=8.0, help="everything ends within this time [8]")
    parser.add_argument("--parts", metavar="NAME,…", help='parts to measure before the cells, "" for none [all]')
    parser.add_argument("--cifar", type=Path, help="tar or folder of train|test/<class>/<image>, for table 1")
    parser.add_argument("--multi30k", type=Path, help="folder of Multi30k's raw files, for table 2")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the cells [3]")
    parser.add_argument("--columns", default="", help="run only cells of these, such as multi30k_deep,cifar10_jpeg_6")
    parser.add_argument("--at-once", type=int, default=12, help="cells side by side on the GPU [12]")
    parser.add_argument("--n", type=int, default=30, help="repetitions of a measurement [30]")
    parser.add_argument("--output", type=Path, default=Path("gpu.tar.gz"), help="file to write [gpu.tar.gz]")
    parser.add_argument("--take", type=Path, metavar="FILE", help="file the results that --output wrote")
    options = parser.parse_args(arguments)
    try:
        if options.take:
            take(options.take)
            return 0
        if not options.smoke and not torch.cuda.is_available():
            raise UserError("torch finds no GPU here; --smoke tries the command on the CPU")
        return measure(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
