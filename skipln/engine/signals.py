"""Signals that ask a run to stop are noted, not died of: the loop saves at the end of an update and then obeys.

SIGINT is a person's, SIGTERM and SIGUSR2 are a scheduler's: SLURM sends SIGUSR2 before a time limit or a preemption.
"""

import signal
from types import FrameType
from typing import Any

from skipln.system.processes import ASKED, somebodys


class Interruptions:
    """The signals that came since the last `hand_on`, while in its `with` block.

    Handlers that were there before (submitit's: requeue the job on SIGUSR2, ignore SIGTERM) are called by `hand_on`,
    once the run has saved. A signal nobody else handles is `final`: the run has to end.
    """

    def __init__(self) -> None:
        self.caught: list[tuple[int, FrameType | None]] = []
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Interruptions":
        self.before = {number: signal.signal(number, self._note) for number in ASKED}
        return self

    def __exit__(self, error: object, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if error is None:
            for number, _frame in self.caught:  # too late for the last update
                signal.raise_signal(number)

    def __bool__(self) -> bool:
        return bool(self.caught)

    @property
    def final(self) -> bool:
        return any(not somebodys(self.before[number]) for number, _ in self.caught)

    @property
    def names(self) -> str:
        return ", ".join(dict.fromkeys(signal.Signals(number).name for number, _ in self.caught)) or "another rank"

    def hand_on(self) -> None:
        """Call the earlier handlers of what was caught, which may end the process, and forget it."""
        caught, self.caught = self.caught, []
        for number, frame in caught:
            if somebodys(self.before[number]):
                self.before[number](number, frame)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.caught and number == signal.SIGINT:  # impatient
            raise KeyboardInterrupt
        self.caught.append((number, frame))
