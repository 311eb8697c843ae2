"""The process beside training sends what checkpoints cover, and its own problems are one line each."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skipln.errors import UserError
from tests.tracking.conftest import Folder
from tests.tracking.server import Server

pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
ROOT = Path(__file__).resolve().parents[2]
HASTY = "import sys; from pathlib import Path; import skipln.tracking.__main__ as m; m.POLL = 0.05; m.LEAVE = {}; "


class Follower:
    """The process as a run starts it, but polling faster."""

    def __init__(self, folder: Folder, configuration: dict[str, Any], mode: str = "auto", leave: int = 30) -> None:
        tracker = {"name": "wandb", "project": "skips", "entity": None, "mode": mode}
        tracker |= {"group": "table2/rskip_ln_2", "job_type": "train", "tags": []}
        about = {"hash": folder.path.name, "config": configuration | {"tracker": tracker}, "environment": {"cpu": "x"}}
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{HASTY.format(leave)} m.main(Path(sys.argv[1]))", str(folder.path)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.process.stdin.write(json.dumps(about) + "\n")
        self.process.stdin.flush()

    def end(self) -> list[str]:
        """Do what the end of a run does, whatever ended it, and return the notes."""
        return self.process.communicate(timeout=60)[0].splitlines()


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_and_continued_run_is_one_whole_curve(
    server: Server, folder: Folder, configuration: dict[str, Any]
) -> None:
    name = folder.path.name
    first = Follower(folder, configuration)
    folder.log(5)
    folder.save()
    wait(lambda: name in server.runs and len(server.runs[name].history) == 2)
    for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT):  # signals meant for the run
        os.kill(first.process.pid, number)
    folder.log(10)
    folder.save()
    folder.log(15)  # never saved, so a kill takes it back
    assert first.end() == []
    assert server.runs[name].points == folder.points()[:4]
    assert (server.runs[name].exit_code, server.runs[name].summary["state"]) == (1, "interrupted")

    folder.crash()
    second = Follower(folder, configuration)
    folder.log(15, 20)
    folder.finish()
    assert second.end() == []
    assert list(server.runs) == [name]
    assert server.runs[name].points == folder.points()
    assert server.runs[name].exit_code == 0
    assert server.runs[name].summary["state"] == "done"
    assert "test/bleu" in server.runs[name].summary
    assert server.runs[name].values["environment"] == {"cpu": "x"}


@pytest.mark.parametrize("mode", ["auto", pytest.param("online", marks=pytest.mark.slow)])
def test_no_key_is_one_note(
    server: Server, folder: Folder, configuration: dict[str, Any], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    follower = Follower(folder, configuration, mode)
    folder.log(5)
    folder.finish()
    [said] = follower.end()
    assert said.startswith("note: W&B: offline, because there is no key" if mode == "auto" else "note: no W&B key")
    assert "make wandb-sync" in said
    assert len(list(folder.path.glob("wandb/offline-run-*/*.wandb"))) == (mode == "auto")
    assert server.operations == []


@pytest.mark.slow
def test_offline_sends_become_one_whole_local_run(
    server: Server, folder: Folder, configuration: dict[str, Any]
) -> None:
    for update in (5, 10):
        follower = Follower(folder, configuration, "offline")
        folder.log(update)
        folder.save()
        assert follower.end() == []
    [local] = folder.path.glob("wandb/offline-run-*")
    found = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", str(local)],
        cwd=folder.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert server.runs[folder.path.name].points == folder.points()


def test_a_hanging_server_is_given_up_after_the_run(
    server: Server, folder: Folder, configuration: dict[str, Any]
) -> None:
    with server.hanging():
        follower = Follower(folder, configuration, leave=1)
        folder.log(5)
        folder.finish()
        [said] = follower.end()
    assert said == "note: W&B did not receive everything within 1 s of the run's end; `make wandb-sync` sends the rest"


@pytest.mark.slow
def test_an_unwritable_folder_is_one_note(server: Server, folder: Folder, configuration: dict[str, Any]) -> None:
    (folder.path / "wandb").write_text("in the way")
    follower = Follower(folder, configuration)
    folder.log(5)
    folder.finish()
    [said] = follower.end()
    assert said.startswith("note: W&B: ")
    assert said.endswith("; training continues, and `make wandb-sync` sends the run later")


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_wandb_mode_can_forbid_sending(
    server: Server, folder: Folder, configuration: dict[str, Any], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with a key and a server that would accept it."""
    from skipln.tracking.upload import require_online

    monkeypatch.setenv("WANDB_MODE", mode)
    follower = Follower(folder, configuration, "auto")
    folder.log(5)
    folder.finish()
    assert follower.end() == [f"note: W&B: offline, because of WANDB_MODE={mode}; unset it, then `make wandb-sync`"]
    assert folder.path.name not in server.runs  # which a killed test before may still fill
    with pytest.raises(UserError, match=f"^WANDB_MODE={mode}: unset WANDB_MODE to send$"):
        require_online()
