"""Tables on a real SLURM: whatever happens to jobs, the same command completes the table, equal cell by cell.

Run with `python -m pytest -m slurm`. It needs root and SLURM's packages, and is skipped otherwise.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.slurm.conftest import Desk, finish, outcome, process_status, status, stopped_half_way, wait_until

pytestmark = pytest.mark.slurm


def resume(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


def job_of(folder: Path) -> str:
    return json.loads((folder / "ticket.json").read_text())["job"]


def counts(page: str) -> set[str]:
    """Return the counts of runs by state from a status page."""
    return set(page.splitlines()[0].partition(": ")[2].split(", "))


def test_table2(desk: Desk, tiny: list[str], without) -> None:
    """All of table 2 at test scale is one job array; the second time nothing is submitted."""
    desk.table = "table2"
    desk.overrides = [text for text in tiny if not text.startswith(("scale=", "compute.threads="))]
    output = finish(desk.run(), 0)
    assert "7 to submit, 0 in the queue" in output
    arrays = {line.split("_")[0] for line in desk.cluster.jobs(f"--name={_names(desk)}")}
    assert len(arrays) == 1
    assert desk.made() == without("table2", desk.overrides)
    assert "7 of 7 runs are finished" in finish(desk.run(), 0)


def _names(desk: Desk) -> str:
    return ",".join({json.loads((folder / "ticket.json").read_text())["name"] for folder in desk.folders()})


def kill(desk: Desk, folder: Path) -> None:
    os.kill(status(folder)["pid"], signal.SIGKILL)


def cancel(desk: Desk, folder: Path) -> None:
    """Cancel a run and keep stopping it whenever SLURM continues it, so that it misses SLURM's kill timeout."""
    pid = status(folder)["pid"]
    desk.cluster.call("scancel", job_of(folder))

    def gone() -> bool:
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return True
        return False

    wait_until(gone, "SIGKILL")


def requeue(desk: Desk, folder: Path) -> None:
    desk.cluster.call("scontrol", "requeue", job_of(folder))
    resume(status(folder)["pid"])


def preempt(desk: Desk, folder: Path) -> None:
    """Submit a job to the partition `high` that needs the whole node."""
    desk.cluster.call("sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 2")
    _wait_for_user_signal(status(folder)["pid"])


def meet_the_time_limit(desk: Desk, folder: Path) -> None:
    """Wait for the time limit; SLURM checks limits every half minute."""
    _wait_for_user_signal(status(folder)["pid"])


def _wait_for_user_signal(pid: int) -> None:
    """Wait until SLURM has sent SIGUSR2, perhaps also SIGCONT, to the stopped process, then let it continue."""
    bit = 1 << (signal.SIGUSR2 - 1)

    def sent() -> bool:
        fields = process_status(pid)
        if not fields.get("State", "").startswith("T"):
            return True
        return bool((int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)) & bit)

    wait_until(sent, "SIGUSR2")
    with suppress(ProcessLookupError):
        resume(pid)


@pytest.mark.parametrize(
    ("happen", "options", "requeued"),
    [
        (kill, [], False),
        (cancel, [], False),
        (requeue, [], True),
        (preempt, [], True),
        (meet_the_time_limit, ["launcher.timeout_min=2", "launcher.signal_delay_s=45"], True),
    ],
)
def test_what_happens_to_jobs(desk: Desk, without, happen, options: list[str], requeued: bool) -> None:
    """A waiting table waits for jobs that SLURM requeues; for others it must be started again."""
    process = desk.run(*options)
    folder = stopped_half_way(desk, process)
    happen(desk, folder)
    output = finish(process, 0 if requeued else 1)
    if not requeued:
        assert "1 of 2 runs failed" in output
        assert "the same command continues it" in output
        assert counts(desk.status()) == {"1 done", "1 interrupted"}
        assert "1 to submit, 0 in the queue" in finish(desk.run(), 0)
    assert desk.made() == without("table9", desk.overrides)
    if happen is preempt or happen is meet_the_time_limit:
        assert "this job is" in Path(json.loads((folder / "ticket.json").read_text())["log"]).read_text()


def test_a_job_that_raises(desk: Desk, without, tiny_text: Path) -> None:
    """The run's own error line is in the table's report and its status."""
    away = tiny_text.with_name("away")
    tiny_text.rename(away)
    try:
        output = finish(desk.run(), 1)
    finally:
        away.rename(tiny_text)
    assert "2 of 2 runs failed" in output
    assert str(tiny_text) in output
    assert counts(desk.status()) == {"2 failed"}
    finish(desk.run(), 0)
    assert desk.made() == without("table9", desk.overrides)


def test_a_driver_stopped_and_killed(desk: Desk, without) -> None:
    """After Ctrl-C and after kill -9 the jobs go on, and the same command finds them and submits none twice."""
    process = desk.run("launcher.array_parallelism=1")
    folder = stopped_half_way(desk, process)
    process.send_signal(signal.SIGINT)
    assert "the jobs stay in the queue; to cancel them: scancel --name=table9-" in finish(process, 130)
    page = desk.status()
    assert counts(page) == {"1 running", "1 queued"}
    assert "JobArrayTaskLimit" in page

    process = desk.run("launcher.array_parallelism=1")
    wait_until(lambda: "0 to submit, 2 in the queue" in process.stdout.readline(), "the table to wait again")
    process.kill()
    process.communicate()

    resume(status(folder)["pid"])
    finish(desk.run("launcher.array_parallelism=1"), 0)
    assert desk.made() == without("table9", desk.overrides)
    assert len(desk.cluster.jobs(f"--name={_names(desk)}")) == 2


def test_two_ranks_one_killed(desk: Desk, without) -> None:
    """A job of two tasks is a run of two ranks. If one dies the job ends; continued, it has one process's curve."""
    desk.overrides = [*desk.overrides, "training.accumulate=2", "--seeds=1"]
    process = desk.run("compute.devices=2")
    folder = stopped_half_way(desk, process)
    other = _rank(1, status(folder)["job"])
    resume(status(folder)["pid"])
    os.kill(other, signal.SIGKILL)
    finish(process, 1)
    finish(desk.run("compute.devices=2"), 0)
    [(_, _, _, expected)] = without("table9", desk.overrides).values()
    _, _, _, curve = outcome(folder)
    losses = [
        [point[key] for point in c for key in ("train/loss", "tokens") if key in point] for c in (curve, expected)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def _rank(rank: int, job: str) -> int:
    """Find the process of a rank among all processes of this machine."""
    wanted = {f"SLURM_PROCID={rank}".encode(), f"SLURM_JOB_ID={job}".encode()}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError(f"job {job} has no rank {rank}")


def test_hydras_multirun(desk: Desk, without) -> None:
    """With `launcher=slurm` Hydra submits jobs; the sweep consists of the table's two runs."""
    sweep = ["skipln.train", "--multirun", "launcher=slurm", "launcher.cpus_per_task=1", "compute.threads=1"]
    finish(desk.start([sys.executable, "-m", *sweep, *desk.overrides, "scale=test", "skip=rskip_ln", "seed=1,2"]), 0)
    assert desk.made() == without("table9", desk.overrides)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("launcher.partition=nowhere", "invalid partition specified: nowhere"),
        ("launcher.gres=gpu:9", "Requested node configuration is not available"),
    ],
)
@pytest.mark.parametrize("command", ["table", "multirun"])
def test_impossible_requests_are_one_line(desk: Desk, option: str, said: str, command: str) -> None:
    """The line has SLURM's reason and the request; nothing is left behind."""
    if command == "table":
        output = finish(desk.run(option), 2)
    else:
        sweep = ["skipln.train", "--multirun", "launcher=slurm", option, *desk.overrides, "seed=1,2"]
        output = finish(desk.start([sys.executable, "-m", *sweep]), 2)
    [line] = [line for line in output.splitlines() if line.startswith("error")]
    assert line.startswith("error: SLURM refuses the jobs (")
    assert said in line
    assert option.replace("launcher.", "--") in line
    assert "Traceback" not in output
    assert not desk.folders()
