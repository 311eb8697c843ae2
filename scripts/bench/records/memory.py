"""What a piece of work allocates, as torch counts it."""

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

from torch.profiler import ProfilerActivity, profile


def peak_megabytes(work: Callable[[], object]) -> float:
    """The most that torch has allocated at once while it does the work, beyond what it had before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    events: Any = profiled.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return max(accumulate((size for _, size in changes), initial=0)) / 1e6


def allocated(works: Mapping[str, Callable[[], object]], peer: str) -> dict[str, Any]:
    """What a record says of the memory of both sides; `peer` names the other one."""
    found = {side: round(peak_megabytes(work), 1) for side, work in works.items()}
    return {"megabytes": found, "found": f"allocates {found['ours']:,.0f} MB, {peer} {found['peer']:,.0f} MB"}
