"""`python -m skipln.tracking FOLDER`, started by a run: send it to W&B, up to its last checkpoint, until it ends.

The first line of stdin describes the run; the end of stdin means that the run is over, however it ended. Each problem
is one line on stdout; W&B's own messages go to stderr.
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
LEAVE = 30  # seconds that W&B has for the rest after the run's end
LATER = "training continues, and `make wandb-sync` sends the run later"


def main(folder: Path) -> None:
    # A scheduler signals every process of a job, but only the run that started this process decides when it ends.
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
        note(f"W&B is not installed, `make setup` installs it; {LATER}")
    except Exception as error:  # no failure of a library may cost more than one line
        traceback.print_exc()
        note(f"W&B: {type(error).__name__}, see {folder}/tracker.log; {LATER}")
    sys.stdout.flush()
    os._exit(0)  # W&B's exit handler waits for a server that may not answer


def follow(folder: Path, about: dict[str, Any], ended: threading.Event) -> None:
    """Send `folder`'s settled points as they come; after the end, the remaining ones and the result."""
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
            note(f"W&B: offline, because {why}; `wandb login`, then `make wandb-sync`")
        elif why:
            note(f"W&B: offline, because of {why}; unset it, then `make wandb-sync`")
    shutil.rmtree(folder / "wandb", ignore_errors=True)  # from an earlier part of this run; the new one has everything
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
    """Set `ended` at the end of stdin; end this process if W&B then takes too long."""
    sys.stdin.read()
    ended.set()
    giving_up = threading.Timer(LEAVE, _give_up)
    giving_up.daemon = True
    giving_up.start()


def _give_up() -> None:
    note(f"W&B did not receive everything within {LEAVE} s of the run's end; `make wandb-sync` sends the rest")
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
