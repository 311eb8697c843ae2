"""When a run has diverged: one criterion, a function of the training losses that its metrics.jsonl holds."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Times the lowest loss so far: on its way down from far away a loss rises by less than 2 now and then.
RISE = 10.0

CRITERION = (
    "the mean training loss of a log window was not finite, rose above 20 nats and to "
    f"{RISE:g} times the lowest before it, or was above 20 nats well after the warm-up"  # training.diverged_…
)


@dataclass
class Divergence:
    """The criterion, asked at every log point of a run with the mean training loss since the last one.

    A run has diverged once its loss is not finite; is above `above` nats and RISE times the lowest loss before; or is
    above `above` nats after update `after`. So an explosion is one wherever it happens and whatever the loss does
    later, when units that died may bring it back to that of a guess; where rounding decides whether an explosion
    overflows, it no longer decides the verdict. A loss that starts far away and comes down is none.
    """

    above: float
    after: int
    lowest: float = math.inf

    def verdict(self, update: int, loss: float) -> str | None:
        """Why the run has diverged with the `loss` of the window that ends at `update`; None where it has not."""
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
    """The first (update, why) at which a run with these (update, training loss), in order, has diverged, or None."""
    divergence = Divergence(above, after)
    return next(((update, why) for update, loss in points if (why := divergence.verdict(update, loss))), None)
