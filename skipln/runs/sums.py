"""A result holds a SHA-256 of itself and of the files beside it: a digit that changed later is no measurement."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from skipln.system.files import sha256

log = logging.getLogger(__name__)

KEYS = ("files", "sum")  # of result.json; records do not have them


def with_sums(result: Mapping[str, Any], files: Iterable[Path]) -> dict[str, Any]:
    """`result` and the sums of those of `files` that are there."""
    content = {**result, "files": {path.name: sha256(path) for path in files if path.is_file()}}
    return content | {"sum": _sum(content)}


def check_sum(result: Any) -> None:
    """Raise ValueError unless `result` is as it was written; one from before there were sums is believed."""
    if not isinstance(result, dict) or (not set(KEYS).isdisjoint(result) and result.get("sum") != _sum(result)):
        raise ValueError("not what was written")


def unchanged(path: Path, files: Any) -> bool:
    """Whether a file is what the result's `files` say, with a line in the log where it is not; also without sums."""
    wanted = files.get(path.name) if isinstance(files, Mapping) else None
    try:
        if wanted is None or sha256(path) == wanted:
            return True
    except OSError:
        pass
    log.warning("%s: not what it was when the run ended; left out", path)
    return False


def _sum(result: Mapping[str, Any]) -> str:
    content = {key: value for key, value in result.items() if key != "sum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
