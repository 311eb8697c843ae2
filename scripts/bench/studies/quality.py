"""Measure whether speed costs quality: train rSkip+LN λ = 2 by plain steps, the kernel, and the kernel in bfloat16.

`python -m scripts.bench.studies.quality` writes results/bench/quality.json, from the demo's text;
`python -m scripts.bench.studies.quality --scale small data.dir=FOLDER` writes quality-small.json, from Multi30k. A run
has one thread and takes minutes, and as many run at once as there are cores. After an interruption the same command
continues.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import torch
from tqdm import tqdm

from scripts.bench.records.harness import write
from scripts.bench.records.page import write_page
from skipln.configuration.composition import compose
from skipln.engine.environment import describe, fast_bf16
from skipln.errors import UserError
from skipln.system.places import ROOT
from skipln.system.printing import print_error

# The demo has no dropout, but this has: a site without dropout and with λ = 1 never uses the kernel.
RECIPE = ["skip=rskip_ln", "skip.lam=2", "model.dropout=0.1", "compute.threads=1", f"paths.cache={ROOT / 'data'}"]
TEXTS = {  # scale: its text in words, and its own part of the recipe
    "demo": ("the demo's text", ["scale=demo"]),
    "small": ("Multi30k, 4,000 updates", ["scale=small", "training.updates=4000"]),  # as long as table 6's ten minutes
}
RUNS = ROOT / "runs" / "quality"
PATHS = {  # SKIPLN_FUSED (these tensors are too small to gain from a kernel by themselves) and the precision
    "plain steps": ("0", "fp32"),
    "kernel": ("always", "fp32"),
    "kernel in bfloat16": ("always", "bf16"),
}


Run = tuple[int, str]  # seed and path


def overrides(run: Run, recipe: list[str]) -> list[str]:
    fused, precision = PATHS[run[1]]
    return [*recipe, f"seed={run[0]}", f"precision={precision}", f"paths.runs={RUNS / fused}"]


def bleu(run: Run, recipe: list[str], folder: Path) -> float:
    """Make one run in `folder` and return its BLEU on its test set. Raises UserError if the run fails."""
    fused, precision = PATHS[run[1]]
    environment = os.environ | {"SKIPLN_FUSED": fused, "OMP_NUM_THREADS": "1"}
    module = "skipln.train" if precision == "fp32" or fast_bf16() else "scripts.bench.studies.bf16_products"
    command = [sys.executable, "-m", module, *overrides(run, recipe)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "failed").splitlines()[-1]
        raise UserError(f"quality: seed {run[0]}, {run[1]}: {last.removeprefix('error: ')}")
    return float(json.loads((folder / "result.json").read_text("utf-8"))["metrics"]["bleu"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.studies.quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each path [3]")
    parser.add_argument("--scale", choices=TEXTS, default="demo", help="[demo]")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for every run, such as data.dir=FOLDER")
    given = parser.parse_args()
    text, own = TEXTS[given.scale]
    recipe = [*RECIPE, *own, *given.overrides]
    runs = list(product(range(1, given.seeds + 1), PATHS))
    try:
        folders = [compose(overrides(run, recipe)).folder for run in runs]  # not in threads: Hydra has a global state
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(lambda run, folder: bleu(run, recipe, folder), runs, folders)
            try:
                scores = dict(zip(runs, tqdm(found, total=len(runs), desc="quality", unit="run"), strict=True))
            except UserError:
                pool.shutdown(cancel_futures=True)
                raise
    except UserError as error:
        print_error(error)
        return 2
    write({
        "name": "quality" if given.scale == "demo" else f"quality-{given.scale}",
        "scores": {
            "what": f"BLEU of rSkip+LN λ = 2 on {text}, with dropout 0.1",
            "of": {path: [round(scores[seed, path], 2) for seed, by in runs if by == path] for path in PATHS},
        },
        "allocator": "glibc, keeping freed memory",
        "environment": describe(torch.device("cpu")) | {"threads": 1},
    })  # fmt: skip
    write_page()
    return 0


if __name__ == "__main__":
    sys.exit(main())
