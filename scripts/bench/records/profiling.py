"""Show where the time of a piece of work goes, with torch's profiler."""

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

LARGEST = 6


def shares(work: Callable[[], object]) -> dict[str, float]:
    """Operator -> its own share of all operators' time in this process, in percent, for the largest ones.

    It runs on one thread, because with more threads other processes would decode, which the profiler does not see.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with profile(activities=[ProfilerActivity.CPU]) as found:
            work()
    finally:
        torch.set_num_threads(threads)
    own = {event.key: event.self_cpu_time_total for event in found.key_averages()}
    total = sum(own.values()) or 1.0
    largest = sorted(own, key=lambda name: -own[name])[:LARGEST]
    return {name.removeprefix("aten::"): round(100 * own[name] / total, 1) for name in largest}
