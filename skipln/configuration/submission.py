"""Submission to SLURM, shared by tables and Hydra's multirun: its requirements and its error lines."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from skipln.configuration.schema import SlurmLauncher
from skipln.errors import UserError


@contextmanager
def submitting(launcher: SlurmLauncher) -> Iterator[None]:
    """Surround a submission with submitit. Raises UserError, one line, if it is impossible or SLURM refuses it.

    Ask SLURM first whether such a job could ever run, since it may queue one that cannot.
    """
    try:
        import hydra_plugins.hydra_submitit_launcher  # noqa: F401
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError as error:
        raise UserError("launcher=slurm needs a package: pip install hydra-submitit-launcher") from error
    if shutil.which("sbatch") is None:
        raise UserError("sbatch is not on PATH: start this on a machine that submits to SLURM, or use launcher=local")
    options = _options(launcher)
    tried = subprocess.run(
        ["sbatch", "--test-only", "--wrap=true", *options], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        raise _refusal(tried.stderr, options)
    try:
        yield
    except (FailedJobError, FailedSubmissionError) as error:  # sbatch's refusal is a FailedJobError
        raise _refusal(str(error), options) from error


def _options(launcher: SlurmLauncher) -> list[str]:
    """The job's requests as options of sbatch."""
    asked = {
        "partition": launcher.partition,
        "account": launcher.account,
        "qos": launcher.qos,
        "gres": launcher.gres,
        "time": launcher.timeout_min,
        "cpus-per-task": launcher.cpus_per_task,
        "mem": launcher.mem_gb and f"{launcher.mem_gb * 1024:.0f}M",
        "nodes": launcher.nodes,
        "ntasks-per-node": launcher.tasks_per_node,
        **launcher.additional_parameters,
    }
    return [f"--{key}" if value is True else f"--{key}={value}" for key, value in asked.items() if value is not None]


def _refusal(text: str, options: list[str]) -> UserError:
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in text.splitlines() if line]
    said = "; ".join(dict.fromkeys(lines))
    return UserError(f"SLURM refuses the jobs ({said}); change launcher.… to match this cluster: {' '.join(options)}")
