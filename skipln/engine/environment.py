"""What a run computes on and with: devices, precision, commit, versions, hardware."""

import os
import platform
import sys
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from skipln.configuration.schema import ResNetModel, RunConfig
from skipln.errors import UserError
from skipln.ops.processor import flags
from skipln.runs.source import Source, source

PRECISIONS: dict[str, Any] = {"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}


def describe(device: torch.device, code: Source | None = None) -> dict[str, Any]:
    """Return the commit, the digest of the uncommitted patch if there is one, versions, hardware, threads and time.

    code: the code that runs; by default the present state of the files. SKIPLN_COMMIT gives the commit of a copy
    without git.
    """
    code = code or source()
    return {
        **code.describe(),
        **({} if code.commit else {"commit": os.environ.get("SKIPLN_COMMIT", "")}),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "sacrebleu": version("sacrebleu"),
        "cpu": cpu(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def fast_bf16() -> bool:
    """Return whether the processor multiplies bfloat16 itself (AVX512-BF16 or AMX); True if it is not x86."""
    found = flags()
    return not found or bool({"avx512_bf16", "amx_bf16"} & found)


def cpu() -> str:
    """Return the processor's model and the number of logical cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0]}, {len(models)} logical cores" if models else platform.processor()


def create_fabric(config: RunConfig) -> Fabric:
    """Set up devices, precision and process group. Raises UserError if the machine lacks what is asked for."""
    compute = config.compute
    if compute.accelerator == "cuda" and not torch.cuda.is_available():
        raise UserError("compute.accelerator=cuda, but torch finds no CUDA device here: leave it at auto")
    if config.precision.name == "fp16" and not torch.cuda.is_available():
        raise UserError("precision=fp16 needs a GPU: choose bf16 or fp32 on the CPU")
    if config.precision.name == "bf16" and not _multiplies_bf16(config):
        print("note: this processor has no bf16 arithmetic; precision=fp32 is faster here", file=sys.stderr)
    if compute.threads:
        torch.set_num_threads(compute.threads)
    world = compute.devices * compute.nodes
    warnings.filterwarnings("ignore", "The `srun` command")  # a single process on a login node is fine
    try:
        fabric = Fabric(
            accelerator=compute.accelerator,
            devices=compute.devices,
            num_nodes=compute.nodes,
            strategy=_strategy(config) if world > 1 else "auto",
            precision=PRECISIONS[_precision(config)],
        )
        fabric.launch()
    except (RuntimeError, ValueError, KeyError) as error:  # SLURM's or torchrun's variables do not fit compute.*
        reason = f"{error.args[0]} is not set" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(
            f"compute.devices={compute.devices} compute.nodes={compute.nodes} cannot be started here: {reason}"
        ) from error
    return fabric


def _strategy(config: RunConfig) -> str:
    """Return how processes share gradients. Where a pre-activation ResNet changes shape, F reads the activation of both
    paths and not the site's, so some parameters of the site may be unused, and DDP has to look for them."""
    spared = isinstance(config.model, ResNetModel) and config.model.activation == "pre"
    return "ddp_find_unused_parameters_true" if spared else "ddp"


def arithmetic(config: RunConfig) -> dict[str, Any]:
    """Return what a record says about how the net computes, apart from its hardware."""
    return {"precision": _precision(config), "compiled": config.compute.compile}


def _precision(config: RunConfig) -> str:
    """Return what `precision` means on this machine."""
    if config.precision.name != "auto":
        return config.precision.name
    return "bf16" if _multiplies_bf16(config) else "fp32"


def _multiplies_bf16(config: RunConfig) -> bool:
    on_gpu = config.compute.accelerator != "cpu" and torch.cuda.is_available()
    return on_gpu or fast_bf16()
