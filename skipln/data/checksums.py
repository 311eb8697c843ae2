"""What reading a whole file tells, remembered for the big ones: gigabytes before every run would take minutes."""

import json
from collections.abc import Callable
from pathlib import Path

from skipln.system.files import atomic_write, sha256

SMALL = 16 << 20  # bytes: below, hashing costs less than a doubt about modification times


def remembered_sha256(path: Path, memory: Path) -> str:
    """SHA-256 of `path`, remembered in the file `memory`."""
    return remembered(sha256, path, memory)


def remembered(reading: Callable[[Path], str], path: Path, memory: Path) -> str:
    """`reading(path)`; of a big file from the JSON file `memory` if its size and modification time (ns) are as then.

    A lost or damaged `memory`, which is of one `reading`, costs time, no more.
    """
    stat = path.stat()
    if stat.st_size < SMALL:
        return reading(path)
    name, state = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
    known = _read(memory)
    if name not in known or known[name][:2] != state:
        known = _read(memory) | {name: [*state, reading(path)]}
        with atomic_write(memory, "w") as file:
            json.dump(known, file, indent=1)
    return str(known[name][2])


def _read(memory: Path) -> dict[str, list]:
    try:
        known = json.loads(memory.read_text("utf-8"))
        return {name: entry for name, entry in known.items() if len(entry) == 3}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
