"""Fetch files from the field's public servers, from any of their mirrors: resume downloads and check checksums."""

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from skipln.data.checksums import remembered_sha256
from skipln.errors import UserError
from skipln.system.files import atomic_write, disk_errors, locked, put_aside, sha256
from skipln.system.strict_json import read_json

LOCK = "checksums.json"  # each file's SHA-256 when it was first fetched
TIMEOUT = 30.0  # seconds without a byte
ROUNDS = 3  # rounds over all mirrors
SHORT = 10  # connections of one file that may be cut before they bring a megabyte
WINDOW, SLOWEST = 60.0, 1_000  # in so many seconds a server must send at least so many bytes per second
LARGEST = 64 << 30  # bytes
_GONE = (401, 403, 404, 410)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Remote:
    """A file on public servers. `checksum` is "sha256:…" or "md5:…" as published, or None if nobody published one."""

    name: str
    urls: tuple[str, ...]
    checksum: str | None = None


def fetch(
    remote: Remote, folder: Path, damage: Callable[[Path], str | None] = lambda _: None, pause: float = 2
) -> Path:
    """Return `folder/<name>`; download it unless it is there complete. Processes take turns.

    A cut download is resumed. If a mirror lacks the file or has bytes that do not match the checksum, the next one is
    tried. Without a published checksum, `damage` says what is wrong with a new file (None: nothing), and its SHA-256
    is kept in `folder/checksums.json`, so that a file with another one is refused from then on. `pause`: seconds
    before the second round over the mirrors, doubled before each later one. Raises `UserError` when no mirror has
    the file or the disk is full.
    """
    path = folder / remote.name
    with locked(folder / ".lock"):
        known = _locked(folder).get(remote.name)
        if path.is_file():
            if known is not None and remembered_sha256(path, folder / ".sha256.json") == known:
                return path
            if known is None and _accept(remote, path, None, damage) is None:  # the user put it there
                _record(folder, remote.name, sha256(path))
                return path
            put_aside(path)
        reasons: dict[str, str] = {}
        for turn in range(ROUNDS):
            for url in [url for url in remote.urls if not reasons.get(url, "").startswith("!")]:
                part = folder / f".part-{_resumes_with(remote, url)}-{remote.name}"
                try:
                    _complete(url, part, remote.name)
                    reason = _accept(remote, part, known, damage)
                except urllib.error.HTTPError as error:
                    reason = f"{'!' if error.code in _GONE else ''}HTTP {error.code} {error.reason}"
                except (OSError, http.client.HTTPException, ValueError) as error:
                    reason = str(getattr(error, "reason", "") or error or type(error).__name__)
                else:
                    if reason is None:
                        part.replace(path)
                        _record(folder, remote.name, sha256(path))
                        return path
                    part.unlink()
                    reason = f"!{reason}"
                reasons[url] = reason
            if all(reason.startswith("!") for reason in reasons.values()):
                break
            if turn + 1 < ROUNDS:
                time.sleep(pause * 2**turn)
        said = "; ".join(f"{url}: {reason.removeprefix('!')}" for url, reason in reasons.items())
        raise UserError(
            f"{remote.name} could not be fetched ({said}); check the network and start again, or put the file at {path}"
        )


def forget(remote: Remote, folder: Path) -> None:
    """Put aside a file that proved useless, unless a published checksum says that it is the right one."""
    if remote.checksum is None:
        with locked(folder / ".lock"):
            if (folder / remote.name).exists():
                put_aside(folder / remote.name)
            _record(folder, remote.name, None)


def _resumes_with(remote: Remote, url: str) -> str:
    """Name the partial file: mirrors share one only if a checksum can tell whether their bytes fit together."""
    return "any" if remote.checksum else hashlib.sha256(url.encode()).hexdigest()[:8]


def _complete(url: str, part: Path, label: str) -> None:
    """Append to `part` until it is complete; reconnect after a cut as long as each connection brings something.

    A connection that brings less than `_CHUNK` counts as a failure, and `SHORT` failures are forgiven.
    """
    short = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            return _transfer(url, part, before, label)
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException):
            brought = part.stat().st_size - before if part.exists() else 0
            short += brought < _CHUNK
            if brought <= 0 or short > SHORT:
                raise


def _transfer(url: str, part: Path, have: int, label: str) -> None:
    headers = {"User-Agent": "skipln", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing follows what we have: it is complete, or from another file
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()
            raise ConnectionError("the part fetched earlier does not fit, and was removed") from error
        raise
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if resumed else 0  # a server that cannot resume sends everything again
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            disk_errors(part),
            part.open("ab" if resumed else "wb") as file,
            tqdm(total=total, initial=start, desc=label, unit="B", unit_scale=True, disable=None) as progress,
        ):
            size, since, then = start, start, time.monotonic()
            while chunk := _read(response):
                file.write(chunk)
                size += len(chunk)
                progress.update(len(chunk))
                if size > LARGEST:
                    raise ValueError(f"more than {LARGEST:,} bytes, which no corpus has")
                if time.monotonic() - then > WINDOW:
                    if size - since < SLOWEST * WINDOW:
                        raise ConnectionError(f"slower than {SLOWEST:,} bytes a second")
                    since, then = size, time.monotonic()
    if total is not None and size != total:
        raise ConnectionError(f"cut off after {size:,} of {total:,} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except http.client.IncompleteRead as error:
        return error.partial
    except OSError as error:  # otherwise a socket error would be taken for a disk error
        raise http.client.HTTPException(str(error)) from error


def _accept(remote: Remote, path: Path, known: str | None, damage: Callable[[Path], str | None]) -> str | None:
    """Say what is wrong with a fetched file, or return None."""
    if remote.checksum:
        algorithm, _, wanted = remote.checksum.partition(":")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        return None if found == wanted else f"wrong {algorithm} {found[:12]}…, published is {wanted[:12]}…"
    if known is not None:
        found = sha256(path)
        return None if found == known else f"SHA-256 {found[:12]}…, but {known[:12]}… when it was first fetched"
    return damage(path)


def _locked(folder: Path) -> dict[str, str]:
    try:
        return dict(read_json(folder / LOCK))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise UserError(f"{folder / LOCK}: damaged; remove it, and the files beside it are checked again") from error


def _record(folder: Path, name: str, digest: str | None) -> None:
    known = {**_locked(folder), name: digest}
    with atomic_write(folder / LOCK, "w") as file:
        json.dump({name: found for name, found in known.items() if found}, file, indent=1, sort_keys=True)
