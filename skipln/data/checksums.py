"""Remember what was computed from big files: reading gigabytes again before every run would take minutes."""

import json
from collections.abc import Callable
from pathlib import Path

from skipln.system.files import atomic_write, sha256
from skipln.system.strict_json import read_json

SMALL = 16 << 20  # bytes: smaller files are always read, since modification times can mislead


def remembered_sha256(path: Path, memory: Path) -> str:
    """Return the SHA-256 of `path`; the file `memory` remembers it."""
    return remembered(sha256, path, memory)


def remembered(reading: Callable[[Path], str], path: Path, memory: Path) -> str:
    """Return `reading(path)`; a big file's comes from the JSON file `memory` while size and modification time stay.

    Each `reading` needs a `memory` of its own. Losing or damaging one costs nothing but time.
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
        known = read_json(memory)
        return {name: entry for name, entry in known.items() if len(entry) == 3}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
