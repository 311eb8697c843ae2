"""Processes are killed, stopped, started twice, or share a cache: the table equals the undisturbed one."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.desk import Desk, in_one_line, offspring
from tests.faults.tally import Tally

MOMENTS = (0.2, 14.0)  # seconds after the start: from the imports to the test of the last run


def test_kills(desk: Desk, undisturbed: Desk, draw: random.Random, times: Callable, tally: Tally) -> None:
    """kill -9 hits the table, with or without its runs; in between, files get time stamps up to a year off."""
    left, since = times(100, 1), 0
    while left:
        process = desk.table()
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(*MOMENTS))
        if process.poll() is None:
            victims = [process.pid, *(offspring(process.pid) if draw.random() < 0.5 else [])]
            for victim in victims:
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            process.communicate()
            left, since = left - 1, since + 1
            _jump(desk, draw)
        if process.returncode == 0 or not left:
            _finish(desk)
            same = desk.made() == undisturbed.made()
            tally.add("kill -9 at a random moment of a table, and a jump of the clock", _judged(same), "differs", since)
            assert same
            since = 0
            desk.clear()


def _jump(desk: Desk, draw: random.Random) -> None:
    """Set time stamps as if the clock had been wrong while some files were written."""
    for path in desk.path.rglob("*"):
        if path.is_file() and draw.random() < 0.3:
            moment = time.time() + draw.uniform(-1, 1) * 365 * 86_400
            with suppress(FileNotFoundError):
                os.utime(path, (moment, moment))


def _finish(desk: Desk) -> None:
    process = desk.table()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def _judged(same: bool) -> str:
    return "survived" if same else "failed"


def test_signals_in_every_phase(
    desk: Desk, undisturbed: Desk, draw: random.Random, times: Callable, tally: Tally
) -> None:
    kind = "SIGINT, SIGTERM or SIGUSR2 to a run at a random moment"
    row = "rskip_ln"
    command = ["-m", "skipln.train", "scale=test", *desk.overrides, f"skip={row}", "seed=1"]
    left = times(30, 0)
    while left:
        process = desk.start(*command)
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(1.5, 9))  # by then Python itself has started
        if process.poll() is None:
            number = draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
            process.send_signal(number)
            left -= 1
            _, said = process.communicate(timeout=120)
            ended = process.returncode in (0, 130, -number)
            tally.add(kind, _judged(ended and "Traceback" not in said), f"{number}: {process.returncode} {said[-600:]}")
        if process.returncode == 0 or not left:
            _finish(desk)
            assert desk.made() == undisturbed.made()
            desk.clear()
    assert not tally.counts[kind]["failed"], tally.failures


def test_two_tables_at_once(desk: Desk, undisturbed: Desk, draw: random.Random, times: Callable, tally: Tally) -> None:
    kind = "two tables at once"
    for _ in range(times(5, 0)):
        first = desk.table()
        time.sleep(draw.uniform(0, 6))
        second = desk.table()
        said = [process.communicate(timeout=300)[1] for process in (first, second)]
        same = [first.returncode, second.returncode] == [0, 0] and desk.made() == undisturbed.made()
        tally.add(kind, _judged(same), f"{first.returncode} {second.returncode} {said[0][-500:]} {said[1][-500:]}")
        desk.clear()
    assert not tally.counts[kind]["failed"], tally.failures


def test_runs_share_a_cache(undisturbed: Desk, tmp_path: Path, times: Callable, tally: Tally) -> None:
    """All start at once with nothing prepared and one is killed; the others all give the same result."""
    kind = "runs sharing one new cache, one of them killed"
    count = max(2, times(32, 0))
    desk = Desk(tmp_path, [text for text in undisturbed.overrides if not text.startswith("paths.cache=")])
    shared = ["-m", "skipln.train", "scale=test", *desk.overrides, f"paths.cache={tmp_path / 'cache'}", "seed=1"]
    runs = [desk.start(*shared, "skip=rskip_ln", f"paths.runs={tmp_path / str(i)}") for i in range(count)]
    time.sleep(4)
    runs[0].kill()
    said = [run.communicate(timeout=900)[1] for run in runs]
    [expected] = (undisturbed.made()[row][1] for row in ["rskip_ln"])
    for i, run in enumerate(runs[1:], 1):
        results = list((tmp_path / str(i)).glob("*/result.json"))
        good = run.returncode == 0 and len(results) == 1 and f'"bleu": {expected["bleu"]}' in results[0].read_text()
        tally.add(kind, _judged(good), f"{run.returncode} {said[i][-500:]}")
    assert not tally.counts[kind]["failed"], tally.failures


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_and_read_only_disks(
    undisturbed: Desk, tmp_path: Path, draw: random.Random, times: Callable, tally: Tally
) -> None:
    """A disk fills up or is read-only; once there is room again, the same command gives the undisturbed run."""
    kind = "full or read-only disks"
    expected = undisturbed.made()["rskip_ln"]
    for i in range(times(20, 1)):
        disk = tmp_path / f"disk{i}"
        disk.mkdir()
        size = draw.randint(64, 6_000)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        try:
            desk = Desk(tmp_path / f"desk{i}", undisturbed.overrides)
            command = [
                "-m",
                "skipln.train",
                "scale=test",
                *desk.overrides,
                "skip=rskip_ln",
                "seed=1",
                f"paths.runs={disk}",
            ]
            if i % 2:
                subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            process = desk.start(*command)
            _, said = process.communicate(timeout=200)
            refused = process.returncode == 2 and in_one_line(said)
            subprocess.run(["mount", "-o", "remount,rw,size=200m", str(disk)], check=True)
            again = desk.start(*command)
            _, more = again.communicate(timeout=200)
            [result] = disk.glob("*/result.json")
            same = again.returncode == 0 and f'"bleu": {expected[1]["bleu"]}' in result.read_text()
            outcome = "refused" if refused and same else _judged(process.returncode == 0 and same)
            tally.add(kind, outcome, f"{size} kB: {process.returncode} {said[-400:]} {more[-400:]}")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    assert not tally.counts[kind]["failed"], tally.failures
