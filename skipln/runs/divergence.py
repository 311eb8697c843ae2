"""The criterion for divergence, a function of the training losses in a run's metrics.jsonl."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

# How many times the lowest loss so far is an explosion. A loss that comes down from far away sometimes rises, but by
# less than a factor of 2.
RISE = 10.0

CRITERION = (
    "the mean training loss of a log window was not finite, rose above 20 nats and to "
    f"{RISE:g} times the lowest before it, or was above 20 nats well after the warm-up"  # training.diverged_…
)


@dataclass
class Divergence:
    """The criterion, applied at every log point of a run to the mean training loss since the last one.

    A run has diverged once its loss is not finite, is above both `above` nats and RISE times the lowest loss before, or
    is above `above` nats after update `after`. So an explosion counts wherever it happens and whatever follows: dead
    units may bring the loss back to that of a guess, and rounding may decide whether an explosion overflows. A loss
    that starts far away and comes down has not diverged.
    """

    above: float
    after: int
    lowest: float = math.inf

    def verdict(self, update: int, loss: float) -> str | None:
        """Say why the run has diverged, given the `loss` of the window that ends at `update`; None if it has not."""
        where = f"training loss {loss:.4g} at update {update}"
        if not math.isfinite(loss):
            return where
        rise, self.lowest = loss / self.lowest if self.lowest else math.inf, min(self.lowest, loss)
        if loss <= self.above:
            return None
        if rise >= RISE:
            return f"{where}, {rise:.2g} times the lowest before"
        return f"{where}, still above {self.above:g}" if update > self.after else None


def judge(points: Iterable[tuple[int, float]], above: float, after: int) -> tuple[int, str] | None:
    """Return the first update at which a run with these (update, training loss) has diverged, and why; else None."""
    divergence = Divergence(above, after)
    return next(((update, why) for update, loss in points if (why := divergence.verdict(update, loss))), None)
