"""The processor's vendor and features, as Linux lists them on x86; empty elsewhere."""

from functools import cache
from pathlib import Path


@cache
def flags() -> frozenset[str]:
    """Return the names of its instruction sets and features."""
    return frozenset(_field("flags").split())


def vendor() -> str:
    """Return its maker, e.g. AuthenticAMD."""
    return _field("vendor_id")


def _field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(name)), "").partition(":")[2].strip()
