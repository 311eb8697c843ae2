"""A result holds a SHA-256 of itself and of the files beside it, so that a later change of a digit is noticed."""

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
    """Return `result` with the checksums of those of `files` that exist."""
    content = {**result, "files": {path.name: sha256(path) for path in files if path.is_file()}}
    return content | {"sum": _sum(content)}


def check_sum(result: Any) -> None:
    """Raise ValueError if `result` has changed since it was written; one from before there were sums is trusted."""
    if not isinstance(result, dict) or (not set(KEYS).isdisjoint(result) and result.get("sum") != _sum(result)):
        raise ValueError("changed since it was written")


def as_written(path: Path, files: Any) -> bool:
    """Return whether a file is as the result's `files` say, or they do not list it."""
    wanted = files.get(path.name) if isinstance(files, Mapping) else None
    try:
        return wanted is None or sha256(path) == wanted
    except OSError:
        return False


def unchanged(path: Path, files: Any) -> bool:
    """Return whether a measurement is as the result's `files` say, or they do not list it; else log a line."""
    if as_written(path, files):
        return True
    log.warning("%s: changed since the run ended; left out", path)
    return False


def _sum(result: Mapping[str, Any]) -> str:
    content = {key: value for key, value in result.items() if key != "sum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
