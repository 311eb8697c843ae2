"""What the processor says of itself, as Linux lists it on x86; nothing elsewhere."""

from functools import cache
from pathlib import Path


@cache
def flags() -> frozenset[str]:
    """Names of its instructions and features."""
    return frozenset(_field("flags").split())


def vendor() -> str:
    """Who made it, e.g. AuthenticAMD."""
    return _field("vendor_id")


def _field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(name)), "").partition(":")[2].strip()
