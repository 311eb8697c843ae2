"""engine=fairseq: a run that fairseq-train trains, fairseq-generate translates, and we score and record.

The run's folder is as our engine leaves it, with fairseq's files inside: data-bin/, checkpoints/, train.log and
generate.log. An interrupted training continues from fairseq's checkpoint_last.pt.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skipln.configuration.schema import RunConfig
from skipln.engine.environment import describe
from skipln.errors import UserError
from skipln.interop.fairseq import require_fairseq
from skipln.interop.fairseq.checkpoint import average, read_checkpoint
from skipln.interop.fairseq.command import differences, generate_arguments, precision, train_arguments
from skipln.interop.fairseq.databin import write_databin
from skipln.interop.fairseq.log import metrics_of, translations_of
from skipln.runs.divergence import judge
from skipln.runs.folder import MetricsLog, RunFolder, State
from skipln.runs.reading import read_metrics
from skipln.runs.result import Ended, Result
from skipln.runs.source import source
from skipln.system.files import atomic_write
from skipln.system.places import ROOT
from skipln.system.printing import one_line
from skipln.system.processes import interrupting
from skipln.system.progress import progress_bar
from skipln.tasks import create_task
from skipln.tasks.task import TestResult
from skipln.tasks.translation import TranslationTask

# torch ≥ 2.6 refuses fairseq's own checkpoints, which hold an argparse.Namespace (fairseq #5610). The variable is set
# only for fairseq's processes, which read what fairseq's processes wrote into this run's folder.
ENVIRONMENT = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "PYTHONWARNINGS": "ignore"}

POLL = 2.0  # seconds between two readings of the log


def execute(config: RunConfig) -> State:
    """Train, test and record the run of `config` by fairseq, or continue it; a finished run is left as it is.

    Returns done, diverged or interrupted. Raises UserError for what the user can fix.
    """
    require_fairseq()
    folder = RunFolder(config.folder)
    with folder.lock():
        if (result := folder.finished()) is not None:
            print(f"{result.state}: {folder.path}", file=sys.stderr)
            return result.state
        updates = config.training.updates
        try:
            with interrupting():
                return _run(config, folder)
        except KeyboardInterrupt:
            folder.write_status("interrupted", folder.last_update(), updates, "start it again to continue")
            return "interrupted"
        except Exception as error:
            with suppress(UserError):
                folder.write_status("failed", folder.last_update(), updates, one_line(str(error)))
            raise


def _run(config: RunConfig, folder: RunFolder) -> State:
    cpu = config.compute.accelerator == "cpu" or not torch.cuda.is_available()
    # Refuse what fairseq cannot do before data is prepared.
    train_arguments(config, folder.path, folder.checkpoints, vocabulary=2, cpu=cpu)
    task = create_task(config)
    assert isinstance(task, TranslationTask)
    folder.write_config(config)
    code, versions = source(), {"fairseq": version("ve-fairseq")}
    environment = {**describe(torch.device("cpu" if cpu else "cuda"), code), **versions}
    environment |= {"precision": precision(config, cpu), "compiled": False}
    environment |= folder.write_start(folder.last_update(), environment, code)
    folder.write_status("running", folder.last_update(), config.training.updates)
    data = write_databin(task.data, folder.path / "data-bin")
    size = len(task.data.vocabulary)
    started = time.monotonic()
    state, message, last = _train(config, folder, train_arguments(config, data, folder.checkpoints, size, cpu))
    trained, started = time.monotonic() - started, time.monotonic()
    tested, parameters = None, None
    if state == "done":
        averaged = folder.checkpoints / "averaged.pt"
        parameters = _average(config, folder, averaged)
        tested = _translated(config, folder, task, generate_arguments(config, data, averaged, cpu))
    result = Result(
        hash=config.hash,
        state=state,
        update=int(last.get("update", 0)),
        metrics=tested.metrics if tested is not None else {},
        signatures=tested.signatures if tested is not None else {},
        parameters=parameters,
        tokens_per_second=round(last.get("tokens", 0.0) / max(last.get("wall", 0.0), 1e-9), 1),
        train_seconds=round(last.get("wall", trained), 1),
        test_seconds=round(time.monotonic() - started, 1) if tested is not None else 0.0,
        data=task.describe(),
        environment=environment,
        message="; ".join(filter(None, [message, f"by fairseq: {', '.join(differences(config, cpu))}"])),
    )
    folder.write_result(result)
    folder.write_status(state, result.update, config.training.updates, result.message)
    print(f"{state}: {folder.path} {result.metrics}", file=sys.stderr)
    return state


def _average(config: RunConfig, folder: RunFolder, path: Path) -> int:
    """Write the mean of the last checkpoints to `path`, and return the number of its parameters."""
    weights = average(_last_checkpoints(folder.checkpoints, config.training.average), path)
    copies = ("decoder.embed_tokens.weight", "decoder.output_projection.weight")  # one matrix has three names
    return sum(value.numel() for name, value in weights.items() if name not in copies and not name.endswith(".version"))


def _translated(config: RunConfig, folder: RunFolder, task: TranslationTask, arguments: list[str]) -> TestResult:
    """Translate the test set by fairseq-generate, score it ourselves and write it into the folder."""
    log = folder.path / "generate.log"
    with log.open("w") as file:
        run_fairseq("generate", arguments, config, file)
    outputs = translations_of(log.read_text("utf-8").split("\n"), task.data.vocabulary)
    if len(outputs) != len(task.data.test):
        raise UserError(f"{log}: fairseq-generate gave {len(outputs)} translations of {len(task.data.test)}")
    tested = task.score(outputs[: task.describe().test_examples])
    with atomic_write(folder.examples) as binary:
        np.save(binary, tested.examples, allow_pickle=False)
    folder.write_translations(tested.sources, tested.references, tested.outputs)
    return tested


def _train(config: RunConfig, folder: RunFolder, arguments: list[str]) -> tuple[Ended, str, dict[str, float]]:
    """Run fairseq-train. Return the state, why, and the last training point with the tokens so far."""
    training, path = config.training, folder.path / "train.log"
    with (
        path.open("a") as file,
        _process("train", arguments, config, file) as process,
        progress_bar(training.updates, "update", f"fairseq {config.skip['name']} seed {config.seed}") as bar,
    ):
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL)
            last = _record(folder, path)
            bar.update(int(last.get("update", 0)) - bar.n)
            folder.write_status("running", int(bar.n), training.updates)
            if why := _divergence(config, folder):
                return "diverged", why, last
    last = _record(folder, path)
    if why := _divergence(config, folder):
        return "diverged", why, last
    if process.returncode == 0:
        last["update"] = update = _update(folder.checkpoints / "checkpoint_last.pt")  # the log may end earlier
        stopped = update < training.updates
        return "done", f"stopped by training.wall_limit at update {update}" if stopped else "", last
    tail = path.read_text("utf-8", errors="replace")[-4000:]
    if "FloatingPointError" in tail:
        return "diverged", f"gradients are not finite at update {last.get('update', 0)}", last
    raise UserError(f"fairseq-train failed: {_reason(tail)} (all of it: {path})")


def _divergence(config: RunConfig, folder: RunFolder) -> str | None:
    """Say why the training has diverged, judging by metrics.jsonl so far; None if it has not."""
    points = ((p["update"], p["train/loss"]) for p in read_metrics(folder.path) if "train/loss" in p)
    found = judge(points, config.training.diverged_above, config.training.diverged_after)
    return found[1] if found else None


def _record(folder: RunFolder, path: Path) -> dict[str, float]:
    """Rewrite metrics.jsonl from the log of all starts of this run, and return the last training point."""
    points: dict[tuple[int, bool], dict[str, float]] = {}
    for line in path.read_text("utf-8", errors="replace").split("\n"):
        if (point := metrics_of(line)) is not None:
            points[int(point["update"]), "wall" in point] = point
    log, tokens, last = MetricsLog(folder.metrics, 0), 0.0, {"update": 0.0}
    for _, point in sorted(points.items()):
        if "wall" in point:
            tokens += point.pop("tokens_per_update") * (point["update"] - last["update"])
            last = {**point, "tokens": round(tokens)}
            log.append(**last)
        else:
            log.append(**point, **({"wall": last["wall"]} if "wall" in last else {}))
    return last if "wall" in last else {}


def _last_checkpoints(folder: Path, count: int) -> list[Path]:
    """Return the checkpoints to average: the last regular ones, and the final one if training ended between two."""
    numbered = {int(path.stem.rpartition("_")[2]): path for path in folder.glob("checkpoint_*_*.pt")}
    last = folder / "checkpoint_last.pt"
    paths = [path for _, path in sorted(numbered.items())]
    if _update(last) not in numbered:
        paths.append(last)
    if len(paths) < count:
        raise UserError(
            f"{folder}: averaging needs {count} checkpoints and fairseq kept {len(paths)}: lower training.average"
        )
    return paths[-count:]


def _update(checkpoint: Path) -> int:
    return int(read_checkpoint(checkpoint)["optimizer_history"][-1]["num_updates"])


def run_fairseq(name: str, arguments: list[str], config: RunConfig, output: Any) -> None:
    """Run fairseq-`name` to its end, with all output to the open file `output`. Raises UserError if it fails."""
    with _process(name, arguments, config, output) as process:
        if process.wait():
            tail = Path(output.name).read_text("utf-8", errors="replace")[-4000:]
            raise UserError(f"fairseq-{name} failed: {_reason(tail)} (all of it: {output.name})")


@contextmanager
def _process(name: str, arguments: list[str], config: RunConfig, output: Any) -> Iterator[subprocess.Popen]:
    """Start fairseq's command as a process that does not outlive the context."""
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    if config.compute.threads:
        environment["OMP_NUM_THREADS"] = str(config.compute.threads)
    command = [sys.executable, "-m", f"fairseq_cli.{name}", *arguments]
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _reason(tail: str) -> str:
    """Return the line of a log that says what was wrong."""
    lines = [
        line.strip() for line in tail.splitlines() if re.match(r"\s*(\w+\.)*\w*(Error|Exception)\b|.*error: ", line)
    ]
    return (lines or tail.strip().splitlines() or ["no output"])[-1]
