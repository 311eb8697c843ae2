"""Where a run is executed and recorded, which does not decide its result."""

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from skipln.configuration.schema.node import Node


def _workers(value: int | str) -> int | str:
    if value != "auto" and (isinstance(value, str) or value < 0):
        raise ValueError("give a number of processes, or auto")
    return value


MOST_THREADS = 1024  # far more than a machine can use: OpenMP ends the process where it cannot start them


class Compute(Node):
    accelerator: Literal["auto", "cpu", "cuda"]
    """Device to run on."""
    devices: PositiveInt
    """Processes on each node, one for each device."""
    nodes: PositiveInt
    """Number of machines."""
    threads: Annotated[int, Field(ge=0, le=MOST_THREADS)]
    """CPU threads of a process; 0: all cores."""
    workers: Annotated[int | str, AfterValidator(_workers)] = "auto"
    """Processes that load batches for a device; auto: its share of the cores if images are decoded, else none."""
    compile: bool = False
    """Compile the model with torch.compile."""

    def loaders(self, decoding: bool) -> int:
        """Processes that load batches for a device: as given, or else its share of the cores if images are decoded."""
        if isinstance(self.workers, int):
            return self.workers
        return max(1, len(os.sched_getaffinity(0)) // self.devices) if decoding else 0


class Paths(Node):
    runs: str
    """Folder of the run folders, each named by its configuration's hash."""
    cache: str
    """Folder for prepared data."""


WandbName = Annotated[str, Field(min_length=1, max_length=128)]  # W&B's own limits, checked before hours of training


class JsonlTracker(Node):
    name: Literal["jsonl"]


class WandbTracker(Node):
    name: Literal["wandb"]
    project: WandbName
    """W&B project."""
    entity: WandbName | None
    """User or team; null: the account's own."""
    mode: Literal["auto", "online", "offline"]
    """auto: online if logged in, otherwise a local W&B run."""
    group: WandbName | None
    """Group of runs that W&B averages; a table sets table/row."""
    job_type: Annotated[str, Field(min_length=1, max_length=64)]
    """W&B's job type."""
    tags: list[Annotated[str, Field(min_length=1, max_length=64)]]
    """W&B's tags; a table sets scale/column."""


class LocalLauncher(Node):
    name: Literal["local"]


def _one_word(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise ValueError("give one word: after a space or a line end, the rest would be read as part of the job script")
    return text


def _parameters(values: dict[str, Any]) -> dict[str, Any]:
    for key, value in values.items():
        _one_word(key)
        if not isinstance(value, str | int | float | None) or not str(value).isprintable():
            raise ValueError(f"{key}: give one value on one line")
    return values


Word = Annotated[str, AfterValidator(_one_word)]  # for sbatch: it becomes part of a line of the job script


class SlurmLauncher(Node):
    """What a job asks of SLURM; None means the cluster's default. A job is one run, and its tasks are the ranks.

    `setup` holds the user's own shell commands, which precede the run in the job script.
    """

    name: Literal["slurm"]
    partition: Word | None
    """sbatch's --partition; null: the cluster's default, here and below."""
    account: Word | None
    """sbatch's --account."""
    qos: Word | None
    """sbatch's --qos."""
    gres: Word | None
    """Generic resources of each node, such as gpu:1 or gpu:a100:8."""
    timeout_min: PositiveInt
    """Time limit of a job in minutes; a longer run is saved, queued again and continues."""
    cpus_per_task: PositiveInt
    """Cores and CPU threads of a process."""
    mem_gb: PositiveFloat | None
    """Memory of each node in gigabytes."""
    nodes: PositiveInt
    """Number of machines for a run."""
    tasks_per_node: PositiveInt
    """Processes on each machine."""
    array_parallelism: PositiveInt
    """Most runs at once."""
    max_num_timeout: PositiveInt
    """How often a run may reach its time limit."""
    signal_delay_s: PositiveInt
    """Seconds before the time limit at which SLURM tells the run to save."""
    setup: list[str]
    """Shell lines to execute before a run, such as module load cuda."""
    srun_args: list[Word]
    """Arguments for srun."""
    additional_parameters: Annotated[dict[str, Any], AfterValidator(_parameters)]
    """Any other options for sbatch."""
