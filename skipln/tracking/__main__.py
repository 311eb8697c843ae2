"""`python -m skipln.tracking FOLDER`, started by a run: keep W&B up to its last checkpoint until the run has ended.

stdin's first line says what the run is; its end, that the run is over, however it ended. One line a trouble on
stdout; W&B's own messages go to stderr.
"""

import json
import os
import shutil
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from skipln.configuration.schema import WandbTracker
from skipln.errors import UserError

POLL = 3  # seconds between two looks at the checkpoints
LEAVE = 30  # seconds after the run's end that W&B has for the rest
LATER = "training goes on, and `make wandb-sync` sends the run later"


def main(folder: Path) -> None:
    # A scheduler signals every process of a job; the run that started this one decides when it ends.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    os.nice(10)
    about = json.loads(sys.stdin.readline())
    ended = threading.Event()
    threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
    try:
        follow(folder, about, ended)
    except UserError as error:
        note(f"{error}; {LATER}")
    except ImportError:
        note(f"W&B is not installed: make setup; {LATER}")
    except Exception as error:  # whatever a library does, it is no reason for more than a line
        traceback.print_exc()
        note(f"W&B: {type(error).__name__}, see {folder}/tracker.log; {LATER}")
    sys.stdout.flush()
    os._exit(0)  # W&B's own farewell waits for a server that does not answer


def follow(folder: Path, about: dict[str, Any], ended: threading.Event) -> None:
    """Send `folder`'s settled points as they come; after the end all that is settled, and the result."""
    from skipln.runs.reading import read_state
    from skipln.runs.result import read_result
    from skipln.tracking import upload
    from skipln.tracking.points import newest_checkpoint, settled

    tracker = WandbTracker.model_validate(about["config"]["tracker"])
    mode = tracker.mode
    if mode == "auto":
        why = upload.why_offline()
        mode = "offline" if why else "online"
        if why == "there is no key":
            note(f"W&B: offline, as {why}; `wandb login`, then `make wandb-sync`")
        elif why:
            note(f"W&B: offline, as {why} says; unset it, then `make wandb-sync`")
    shutil.rmtree(folder / "wandb", ignore_errors=True)  # of an earlier part of this run; the new one has it all
    run = upload.Upload(folder, about["hash"], about["config"], tracker, about["environment"], mode, os.getppid())
    known = -1
    while not ended.wait(POLL):
        if (newest := newest_checkpoint(folder)) > known:
            run.send(settled(folder))
            known = newest
    run.send(settled(folder))
    run.finish(read_state(folder).state, read_result(folder))


def note(text: str) -> None:
    print(f"note: {text}", flush=True)


def _await_end(ended: threading.Event) -> None:
    """Set `ended` at the end of stdin; end this process when W&B then takes too long."""
    sys.stdin.read()
    ended.set()
    giving_up = threading.Timer(LEAVE, _give_up)
    giving_up.daemon = True
    giving_up.start()


def _give_up() -> None:
    note(f"W&B has not taken everything {LEAVE} s after the run's end; `make wandb-sync` sends the rest")
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
