"""Signals that ask a run to stop do not kill it: the loop notes them, saves at the end of an update and then obeys.

SIGINT comes from a person, SIGTERM and SIGUSR2 from a scheduler; SLURM sends SIGUSR2 before a time limit or preemption.
"""

import signal
from types import FrameType
from typing import Any

from skipln.system.processes import ASKED, somebodys


class Interruptions:
    """The signals caught in its `with` block since the last `hand_on`.

    Once the run has saved, `hand_on` calls the handlers that were there before; submitit's requeue the job on SIGUSR2
    and ignore SIGTERM. A signal that nobody else handles is `final`, and the run has to end.
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
            for number, _frame in self.caught:  # they came too late for the last update
                signal.raise_signal(number)

    def __bool__(self) -> bool:
        return bool(self.caught)

    @property
    def final(self) -> bool:
        """Whether a caught signal has no other handler, so that the run has to end."""
        return any(not somebodys(self.before[number]) for number, _ in self.caught)

    @property
    def names(self) -> str:
        """The names of the caught signals; "another rank" if only that was interrupted."""
        return ", ".join(dict.fromkeys(signal.Signals(number).name for number, _ in self.caught)) or "another rank"

    def hand_on(self) -> None:
        """Forget the signals that were caught, and call their earlier handlers, which may end the process."""
        caught, self.caught = self.caught, []
        for number, frame in caught:
            if somebodys(self.before[number]):
                self.before[number](number, frame)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.caught and number == signal.SIGINT:  # a second Ctrl-C does not wait
            raise KeyboardInterrupt
        self.caught.append((number, frame))
