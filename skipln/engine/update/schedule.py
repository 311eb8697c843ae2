"""Learning-rate schedules, pure functions of the update, so that resuming needs no state."""

import math

from skipln.configuration.schema import InverseSqrt, Steps, Warmup


def learning_rate(schedule: InverseSqrt | Warmup | Steps, peak: float, update: int, updates: int) -> float:
    """Return the learning rate of update number `update` (from 1) of `updates`; configs/schedule/ has the formulas."""
    if isinstance(schedule, Steps):
        if update <= schedule.warmup:
            return peak * schedule.warmup_factor
        return peak * schedule.factor ** sum(update > milestone for milestone in schedule.milestones)
    if update <= schedule.warmup:
        return peak * update / schedule.warmup
    if isinstance(schedule, InverseSqrt):
        return peak * math.sqrt(schedule.warmup / update)
    left = (updates - update) / max(1, updates - schedule.warmup)
    if schedule.name == "linear":
        return peak * left
    if schedule.name == "cosine":
        return peak * 0.5 * (1 - math.cos(math.pi * left))
    return peak
