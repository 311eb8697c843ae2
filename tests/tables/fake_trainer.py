"""Stands in for `python -m skipln.train`: with PLAN OVERRIDE… it treats the run's folder as PLAN says.

PLAN is a JSON file: {"overrides, joined by blanks": ["folder", "behaviour"]}. Every start adds a line to the file
"starts" beside it.
"""

import json
import signal
import sys
import time
from pathlib import Path

from skipln.system.files import locked


def main(plan: Path, overrides: list[str]) -> int:
    folder, behaviour = json.loads(plan.read_text())[" ".join(overrides)]
    with plan.with_name("starts").open("a") as file:
        file.write(" ".join(overrides) + "\n")
    if behaviour == "no data":
        print(
            "working", "\rerror: data.dir=/nowhere: no such folder; give the folder of the raw files", file=sys.stderr
        )
        return 2
    if behaviour == "crash":
        raise RuntimeError("out of luck")
    if behaviour == "killed":
        signal.raise_signal(signal.SIGKILL)
    if behaviour == "no result":
        return 0
    from tests.tables import fakes

    if behaviour == "slow":
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with locked(Path(folder) / ".lock"):
                fakes.write_status(Path(folder), "running")
                print("started", file=sys.stderr, flush=True)
                time.sleep(30)
        except KeyboardInterrupt:
            fakes.write_status(Path(folder), "interrupted")
            print("saved", file=sys.stderr, flush=True)
            return 130
    if behaviour == "diverged":
        fakes.finish(Path(folder), state="diverged")
    else:
        fakes.finish(Path(folder), precision=float(behaviour), seed=int(overrides[-1].removeprefix("seed=")))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
