"""Whether the kernel costs quality: rSkip+LN λ = 2 on the demo's text, trained through it and by plain steps.

`python -m scripts.bench.quality` writes results/bench/quality.json. A run has one thread and takes minutes, as many go
at once as there are cores, and the same command goes on with what was interrupted.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import torch
from tqdm import tqdm

from scripts.bench.harness import write
from scripts.bench.page import write_page
from skipln.config import compose
from skipln.engine.environment import ROOT, describe
from skipln.errors import UserError

# With the dropout that the demo leaves out: a site without it and with λ = 1 never takes the kernel.
RECIPE = [
    "scale=demo", "skip=rskip_ln", "skip.lam=2", "model.dropout=0.1", "compute.threads=1",
    f"paths.cache={ROOT / 'data'}",
]  # fmt: skip
RUNS = ROOT / "runs" / "quality"
PATHS = {"kernel": "always", "plain steps": "0"}  # SKIPLN_FUSED; the demo's tensors are too small to gain by a kernel


def bleu(path: str, seed: int) -> float:
    """Of one run on the demo's test set. Raises UserError when the run fails."""
    overrides = [*RECIPE, f"seed={seed}", f"paths.runs={RUNS / PATHS[path]}"]
    environment = os.environ | {"SKIPLN_FUSED": PATHS[path], "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "skipln.train", *overrides]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "failed").splitlines()[-1]
        raise UserError(f"quality: seed {seed}, {path}: {last.removeprefix('error: ')}")
    return float(json.loads((compose(overrides).folder / "result.json").read_text("utf-8"))["metrics"]["bleu"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each path [3]")
    runs = list(product(range(1, parser.parse_args().seeds + 1), PATHS))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = tqdm(pool.map(lambda run: bleu(run[1], run[0]), runs), total=len(runs), desc="quality", unit="run")
        try:
            scores = dict(zip(runs, found, strict=True))
        except UserError as error:
            pool.shutdown(cancel_futures=True)
            print(f"error: {error}", file=sys.stderr)
            return 2
    write({
        "name": "quality",
        "scores": {
            "what": "BLEU of rSkip+LN λ = 2 on the demo's text, with dropout 0.1",
            "of": {path: [round(scores[seed, path], 2) for seed, by in runs if by == path] for path in PATHS},
        },
        "allocator": "glibc, keeping freed memory",
        "environment": describe(torch.device("cpu")) | {"threads": 1},
    })  # fmt: skip
    write_page()
    return 0


if __name__ == "__main__":
    sys.exit(main())
