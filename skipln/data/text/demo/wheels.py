"""Wheels that pip fetches from the user's package registry, each checked against its committed SHA-256."""

import email.parser
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from tqdm import tqdm

from skipln.errors import UserError
from skipln.system.files import disk_errors, locked, put_aside, sha256

_PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+)\s+--hash=sha256:(?P<sha256>[0-9a-f]{64})")


def pins(lock: Path) -> dict[str, str]:
    """Map SHA-256 to "name==version" for a requirements file with one hash per line."""
    found = map(_PIN.fullmatch, map(str.strip, lock.read_text("utf-8").splitlines()))
    return {pin["sha256"]: f"{pin['name']}=={pin['version']}" for pin in found if pin}


def fetch(lock: Path, folder: Path) -> list[Path]:
    """Return the paths of the wheels pinned in `lock`, in its order; fetch missing ones into `folder`.

    A damaged wheel is put aside and fetched again, once. Nothing is installed, and processes take turns. Raises
    `UserError` when pip is missing or the registry cannot be reached.
    """
    with locked(folder / ".lock"):
        wanted = pins(lock)
        present = _present(folder, wanted)
        if len(present) < len(wanted):
            complaint = download(lock, folder, len(wanted))
            present = _present(folder, wanted)
            if missing := [pin for digest, pin in wanted.items() if digest not in present]:
                raise UserError(
                    f"could not fetch {', '.join(missing)} ({complaint or 'wrong SHA-256'}); check that pip reaches "
                    f"its package registry, or copy the wheels into {folder}, and start again"
                )
        return [present[digest] for digest in wanted]


def licence(wheel: Path) -> str:
    """Return the licence that a wheel's own metadata names, in their form."""
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.parser.Parser().parsestr(archive.read(name).decode("utf-8"))
    classifiers = [text for text in metadata.get_all("Classifier", []) if text.startswith("License ::")]
    named = metadata["License-Expression"] or (classifiers and classifiers[0].rsplit(" :: ")[-1]) or metadata["License"]
    return named or "not stated"


def _present(folder: Path, wanted: dict[str, str]) -> dict[str, Path]:
    """Map SHA-256 to the paths of the pinned wheels in `folder`; put aside those of a pinned name but another sum."""
    names = {re.sub(r"[-_.]+", "-", pin.replace("==", "-")).casefold() for pin in wanted.values()}
    present = {}
    for path in sorted(folder.glob("*.whl")):
        if (digest := sha256(path)) in wanted:
            present[digest] = path
        elif re.sub(r"[-_.]+", "-", "-".join(path.name.split("-")[:2])).casefold() in names:
            put_aside(path)
    return present


def download(lock: Path, folder: Path, count: int) -> str:
    """Let pip download the wheels and return its last complaint, if any. The caller must check the wheels' sums."""
    if importlib.util.find_spec("pip") is None:
        raise UserError("pip is missing in this Python; add it with `python -m ensurepip` or `uv pip install pip`")
    options = "--no-deps --only-binary=:all: --ignore-requires-python --require-hashes --retries=2 --progress-bar=off"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "-r", str(lock), "-d", str(folder)]
    complaint = ""
    with (
        disk_errors(folder),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
        ) as pip,
        tqdm(total=count, desc="fetching catalogs", unit="wheel", disable=None) as progress,
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            progress.update(line.startswith("Collecting "))
            if line.startswith("ERROR: "):
                complaint = line.removeprefix("ERROR: ").strip()
    return complaint
