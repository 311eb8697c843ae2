"""Tests that need a GPU: CUDA in bf16, plain and compiled, and NCCL; they are skipped without one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from skipln.configuration.composition import compose
from skipln.engine.run import execute
from tests.engine.devices.test_ranks import RUN, losses

ROOT = Path(__file__).resolve().parents[3]
gpus = torch.cuda.device_count()
pytestmark = pytest.mark.gpu


@pytest.mark.skipif(gpus < 1, reason="no GPU here")
@pytest.mark.parametrize("compiled", ["false", "true"], ids=["plain", "compiled"])
def test_a_run_on_cuda(tiny, tmp_path, compiled):
    where = ["compute.accelerator=cuda", "precision=bf16", f"compute.compile={compiled}"]
    config = compose([*tiny, *where, "skip=rskip_ln", f"paths.runs={tmp_path}"])
    assert execute(config) == "done"
    result = json.loads((config.folder / "result.json").read_text())
    assert result["environment"]["device"] != "cpu"


@pytest.mark.skipif(gpus < 2, reason="fewer than two GPUs here")
def test_two_ranks_with_nccl_equal_one_process(tiny, tmp_path):
    where = ["compute.accelerator=cuda", "precision=fp32", "skip=rskip_ln"]
    one = compose([*tiny, *RUN, *where, f"paths.runs={tmp_path / 'one'}"])
    assert execute(one) == "done"
    overrides = [*tiny, *RUN, *where, f"paths.runs={tmp_path / 'two'}"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "skipln.train"]
    subprocess.run([sys.executable, *launch, *overrides, "compute.devices=2"], cwd=ROOT, check=True)
    assert losses(compose(overrides).folder) == pytest.approx(losses(one.folder), rel=1e-3)
