"""Whole runs on a tiny corpus: a golden loss, exact resuming, divergence, and the content of the folder."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from skipln import attention, skips
from skipln.attention.softmax import SoftmaxAttention
from skipln.configuration.composition import compose
from skipln.engine.checkpoint import Checkpoints
from skipln.engine.run import execute
from skipln.errors import UserError
from skipln.ops.residual_norm import cpu
from skipln.runs.folder import RunFolder
from skipln.runs.result import read_result
from skipln.seam import fused
from skipln.seam.registry import Entry
from skipln.tables.statistics.significance import bleu
from skipln.tasks import create_task
from skipln.train import main
from tests.graph import functions

ROOT = Path(__file__).resolve().parents[2]


def metrics(folder: Path) -> list[dict]:
    """Read metrics.jsonl without the values that depend on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("wall", "tokens_per_second")} for line in lines]


def status(folder: Path) -> dict:
    return json.loads((folder / "status.json").read_text())


@pytest.fixture
def run(tiny, tmp_path):
    """Compose a tiny run in its own runs folder."""

    def composed(*overrides: str, runs: str = "runs"):
        return compose([*tiny, f"paths.runs={tmp_path / runs}", *overrides])

    return composed


@pytest.mark.parametrize(
    "change", ["model.feed_forward_dim=1000000000000000", "training.max_tokens=100000000000000000"]
)
def test_a_run_that_memory_does_not_hold_says_what_to_change(run, change):
    config = run(change)
    with pytest.raises(UserError, match=r"^out of memory on cpu: divide training.max_tokens and multiply"):
        execute(config)
    assert status(config.folder)["state"] == "failed"
    assert status(config.folder)["message"].startswith("out of memory on cpu: divide")


def test_a_run_writes_all_its_files(run, tmp_path):
    config = run()
    assert execute(config) == "done"
    folder = config.folder
    assert folder == tmp_path / "runs" / config.hash
    assert yaml.safe_load((folder / "config.yaml").read_text()) == config.model_dump()
    assert status(folder)["state"] == "done"
    result = json.loads((folder / "result.json").read_text())
    assert result["state"] == "done"
    assert set(result["metrics"]) == {"bleu", "chrf"}
    assert result["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert result["data"]["test_examples"] == 10
    assert result["parameters"] > 0
    assert set(result["environment"]) >= {"commit", "dirty", "python", "torch", "cpu", "device", "threads"}
    assert (result["environment"]["precision"], result["environment"]["compiled"]) == ("fp32", False)
    start = json.loads((folder / "starts.jsonl").read_text())
    assert start == {"update": 0, **result["environment"]}
    assert np.load(folder / "examples.npy").shape == (10, 10)
    assert len((folder / "translations.txt").read_text().splitlines()) == 10
    lines = metrics(folder)
    assert [line["update"] for line in lines if "train/loss" in line] == [5, 10, 15, 20]
    assert [line["update"] for line in lines if "valid/loss" in line] == [5, 10, 15, 20]

    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert execute(config) == "done"  # it is not repeated
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_golden_loss_of_fifty_updates(run):
    """No refactoring may change this curve (CPU, fp32; 1 % allows for the rounding of other processors)."""
    overrides = ["training.updates=50", "training.log_every=10", "training.checkpoint_every=25", "seed=7"]
    config = run(*overrides, "task.valid_sentences=0")
    execute(config)
    losses = [line["train/loss"] for line in metrics(config.folder) if "train/loss" in line]
    assert losses == pytest.approx([5.5163, 4.2329, 3.8449, 3.6376, 3.4519], rel=0.01)


def test_bleu_statistics_add_up_to_the_score(run):
    """The per-sentence statistics that significance tests resample give the reported BLEU."""
    config = run("training.updates=150", "training.checkpoint_every=50", "optim.lr=0.01")
    execute(config)
    result = json.loads((config.folder / "result.json").read_text())
    sums = np.load(config.folder / "examples.npy").sum(0).astype(float)
    assert result["metrics"]["bleu"] > 1
    assert bleu(sums) == pytest.approx(result["metrics"]["bleu"])


def test_modules_act_after_every_update(run, monkeypatch):
    """They act once more on the averaged weights. Here every query matrix is kept at norm 1."""
    calls = []

    class Kept(SoftmaxAttention):
        def after_step(self):
            assert not torch.is_grad_enabled()
            self.query.weight /= self.query.weight.norm()
            calls.append(self.query.weight)

    monkeypatch.setitem(attention.registry.entries, "softmax", Entry(Kept, {}))
    config = run("training.updates=4", "training.checkpoint_every=2", "training.average=2", "training.log_every=1")
    assert execute(config) == "done"
    attentions = len({id(weight) for weight in calls})
    assert len(calls) == 5 * attentions > 0
    saved = Checkpoints(RunFolder(config.folder).checkpoints, config.hash, keep=2).load_state()
    queries = [value for key, value in saved["model"].items() if key.endswith("query.weight")]
    assert len(queries) == attentions
    assert all(query.norm().item() == pytest.approx(1, abs=1e-6) for query in queries)
    assert all(weight.norm().item() == pytest.approx(1, abs=1e-6) for weight in calls[-attentions:])


def test_a_checkpoint_without_the_profile_is_refused_in_one_line(run, interrupt):
    """Admin sets ω by the run's first batch, even after an interruption; a run cannot continue from ω = 1."""
    steps = ["skip=admin", "training.updates=2", "training.checkpoint_every=1", "training.log_every=1"]
    whole, broken = run(*steps, runs="whole"), run(*steps, runs="broken")
    assert execute(whole) == "done"
    interrupt(broken, 1)
    checkpoints = Checkpoints(RunFolder(broken.folder).checkpoints, broken.hash, keep=2)
    saved = checkpoints.load_state()
    omegas = [float(value.mean()) for key, value in saved["model"].items() if key.endswith("omega")]
    assert max(omegas) > 1.2 and all(value for key, value in saved["model"].items() if key.endswith("profiled"))
    kept = dict(saved["model"])
    for mutilated in (
        {key: torch.zeros_like(value) if key.endswith("profiled") else value for key, value in kept.items()},
        {key: value for key, value in kept.items() if not key.endswith("profiled")},
    ):
        checkpoints.save_state(saved["update"], saved | {"model": mutilated})
        with pytest.raises(UserError, match=r"its checkpoint lacks the profile with which admin begins \(encoder"):
            execute(broken)
    checkpoints.save_state(saved["update"], saved)
    assert execute(broken) == "done"
    assert metrics(broken.folder) == metrics(whole.folder)


@pytest.mark.parametrize("name", skips.names())
def test_every_connection_trains(run, name):
    config = run(f"skip={name}", "training.updates=2", "training.checkpoint_every=1", "training.log_every=1")
    assert execute(config) in ("done", "diverged")
    assert all(np.isfinite(line["grad_norm"]) for line in metrics(config.folder) if "grad_norm" in line)


@pytest.mark.parametrize(
    "override",
    [
        "norm=rms", "attention=favor", "optim=sgd", "schedule=linear", "schedule=cosine", "schedule=constant",
        "schedule=step", "precision=bf16", "optim.clip=0.1", "training.accumulate=2",
    ],
)  # fmt: skip
def test_every_option_trains(run, override):
    assert execute(run(override, "training.updates=2", "training.checkpoint_every=1")) == "done"


def test_an_exploding_loss_is_a_result(run):
    config = run("optim=sgd", "optim.lr=1e6", "skip=xskip", "skip.lam=3", "training.updates=30", "schedule=constant")
    assert execute(config) == "diverged"
    result = json.loads((config.folder / "result.json").read_text())
    assert result["state"] == "diverged"
    assert result["metrics"] == {}
    assert "training loss" in result["message"]
    assert status(config.folder)["state"] == "diverged"
    assert execute(config) == "diverged"  # and it stays diverged


def test_a_checkpoint_keeps_the_lowest_loss(run):
    config = run("task.valid_sentences=0")
    execute(config)
    losses = [line["train/loss"] for line in metrics(config.folder) if "train/loss" in line]
    saved = Checkpoints(RunFolder(config.folder).checkpoints, config.hash, keep=2).load_state()
    assert saved["lowest"] == pytest.approx(min(losses), rel=1e-6)


def train(config, tiny, tmp_path, *overrides: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "skipln.train", *tiny, f"paths.runs={tmp_path}", *overrides]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_update(folder: Path, update: int) -> None:
    deadline = time.monotonic() + 300  # far more than a busy machine needs
    while time.monotonic() < deadline:
        try:
            if status(folder)["update"] >= update:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    raise AssertionError(f"{folder} did not reach update {update}")


def test_a_killed_and_continued_run_equals_an_uninterrupted_one(run, tiny, tmp_path):
    """After kill -9 and then SIGTERM, losses and translations are those of an unbroken run."""
    overrides = ["training.updates=60", "training.log_every=3", "training.checkpoint_every=10", "skip=rskip_ln"]
    whole = run(*overrides, runs="whole")
    assert execute(whole) == "done"

    broken = run(*overrides, runs="broken")
    for kill, after in ((signal.SIGKILL, 12), (signal.SIGTERM, 30)):
        process = train(broken, tiny, tmp_path / "broken", *overrides)
        wait_for_update(broken.folder, after)
        process.send_signal(kill)
        said = process.communicate(timeout=120)[1]
        assert process.returncode == (-signal.SIGKILL if kill == signal.SIGKILL else 130), said
        assert not (broken.folder / "result.json").exists()
    assert status(broken.folder)["state"] == "interrupted"
    assert execute(broken) == "done"

    assert metrics(broken.folder) == metrics(whole.folder)
    for name in ("translations.txt", "examples.npy"):
        assert (broken.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_run_through_the_kernel_resumes_exactly(run, interrupt, monkeypatch):
    """The kernel's dropout is a hash of a seed that belongs to the update, not a state that a stop could lose."""
    if cpu.library() is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setattr(fused, "SMALLEST", 0)
    overrides = ["training.updates=20", "training.log_every=2", "training.checkpoint_every=8", "skip=rskip_ln"]
    overrides.append("model.word_dropout=0.2")
    whole, broken = run(*overrides, runs="whole"), run(*overrides, runs="broken")
    task = create_task(whole)
    assert "_EagerBackward" in functions(task.loss(task.build(), task.epoch(0)[0]).total)
    assert whole.model.dropout > 0
    assert execute(whole) == "done"
    interrupt(broken, 13)
    assert execute(broken) == "done"
    assert metrics(broken.folder) == metrics(whole.folder)
    assert (broken.folder / "examples.npy").read_bytes() == (whole.folder / "examples.npy").read_bytes()


def test_a_run_whose_attention_draws_features_resumes_exactly(run, interrupt):
    """It stops between two draws and averages weights from before and after a draw; the update decides the draw."""
    overrides = [
        "attention=favor", "attention.redraw=5", "attention.features=16", "training.updates=20", "training.log_every=2",
        "training.checkpoint_every=8", "training.average=2",
    ]  # fmt: skip
    whole, broken = run(*overrides, runs="whole"), run(*overrides, runs="broken")
    assert execute(whole) == "done"
    interrupt(broken, 13)
    assert execute(broken) == "done"
    assert metrics(broken.folder) == metrics(whole.folder)
    assert (broken.folder / "examples.npy").read_bytes() == (whole.folder / "examples.npy").read_bytes()


@pytest.mark.parametrize("stop", [False, True])
def test_two_processes_of_a_run_take_turns(run, capsys, tiny, tmp_path, stop):
    """The second waits for the first one's result, or continues where a stopped first one has saved."""
    updates = "training.updates=60"
    config = run(updates)
    first = train(config, tiny, tmp_path / "runs", updates)
    try:
        wait_for_update(config.folder, 5)
        if stop:
            first.terminate()
        assert execute(config) == "done"
        assert first.wait(60) == (130 if stop else 0)
    finally:
        first.kill()
        first.communicate()
    assert capsys.readouterr().err.startswith(f"{config.folder}: waiting for the process that trains this run\n")
    assert [line["update"] for line in metrics(config.folder) if "train/loss" in line] == list(range(5, 61, 5))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.dir=/nowhere/at/all", "/nowhere/at/all"),
        ("precision=fp16", "precision=fp16 needs a GPU"),
        ("compute.accelerator=cuda", "torch finds no CUDA device"),
        ("norm=rms skip=xskip_bn", "xskip_bn has no norm to choose"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(tiny, tmp_path, capsys, override, said):
    if torch.cuda.is_available() and re.search("GPU|CUDA", said):
        pytest.skip("this machine has a GPU, so this is no mistake here")
    capsys.readouterr()
    assert main([*tiny, f"paths.runs={tmp_path}", *override.split()]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_stops_the_run_and_loses_nothing(run, tmp_path):
    small = tmp_path / "runs"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        config = run("model.dim=64", "training.average=4")
        with pytest.raises(UserError, match="the disk is full"):
            execute(config)
        subprocess.run(["mount", "-o", "remount,size=60m", str(small)], check=True)
        assert execute(config) == "done"
        assert [line["update"] for line in metrics(config.folder) if "train/loss" in line] == [5, 10, 15, 20]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_sweep_is_hydras_multirun(tiny, tmp_path):
    command = [sys.executable, "-m", "skipln.train", "--multirun", *tiny, f"paths.runs={tmp_path}", "skip.lam=1,2"]
    quick = ["training.updates=2", "training.checkpoint_every=1"]
    found = subprocess.run([*command, *quick], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert len(list(tmp_path.glob("*/result.json"))) == 2


@pytest.mark.parametrize(("rate", "what"), [("1e30", "the validation loss is"), ("1e300", "weights or statistics are")])
def test_weights_that_explode_in_the_last_update_have_diverged(run, rate, what):
    """The loss is measured before the update and is fine; only the weights to test show the explosion."""
    config = run("training.updates=1", "training.checkpoint_every=1", "training.average=1", f"optim.lr={rate}")
    assert execute(config) == "diverged"
    result = read_result(config.folder)
    assert result.state == "diverged"
    assert (result.metrics, result.message) == ({}, f"{what} not finite after update 1")
    assert status(config.folder)["state"] == "diverged"


@pytest.mark.parametrize(
    "change", [{"hash": "other"}, {"train_seconds": float("nan")}, {"metrics": {"bleu": None}}, {"update": "20"}]
)
def test_a_result_that_the_table_refuses_is_made_again(run, change):
    """It is made from the last checkpoint, without an update: engine and table must agree on which results count."""
    config = run("training.updates=5", "training.average=1")
    assert execute(config) == "done"
    path = config.folder / "result.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | change))
    assert read_result(config.folder) is None
    before = metrics(config.folder)
    assert execute(config) == "done"
    again = read_result(config.folder)
    assert again is not None
    assert again.metrics == whole["metrics"]
    assert metrics(config.folder) == before
