"""Show where the time of a piece of work goes, with torch's profiler."""

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

SMALLEST = 0.5  # percent; what takes less is said as a sum


def shares(work: Callable[[], object]) -> dict[str, float]:
    """Operator -> its own share of all operators' time, in percent, largest first, "others" last.

    It runs on one thread, because with more other threads would decode, which the profiler does not see.
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
    shares = {name.removeprefix("aten::"): 100 * own[name] / total for name in sorted(own, key=lambda name: -own[name])}
    large = {name: round(share, 1) for name, share in shares.items() if share >= SMALLEST}
    return large | {"others": round(100 - sum(large.values()), 1)}
