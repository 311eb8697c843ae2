"""Which code a process runs: the commit, and what is not committed as a patch that brings the commit up to it.

Files of the package, of its configurations and its manifests that git does not track yet are uncommitted like any
changed line; results are no code.
"""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from skipln.system.places import ROOT

PACKAGE = ("skipln", "configs", "experiments")


@dataclass(frozen=True)
class Source:
    """`commit` is empty where skipln is installed without its clone; `patch` is empty where all is committed."""

    commit: str
    patch: bytes = b""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name the patch; empty without one."""
        return hashlib.sha256(self.patch).hexdigest()[:12] if self.patch else ""

    def describe(self) -> dict[str, str | bool]:
        """What a record keeps of it."""
        return {"commit": self.commit, "dirty": bool(self.patch), **({"patch": self.digest} if self.patch else {})}


def source(root: Path = ROOT) -> Source:
    """The code under `root`. `git apply` of the patch in a checkout of the commit gives its files again."""
    top = _git(root, "rev-parse", "--show-toplevel").decode().strip()
    if not top or Path(top) != root:  # a repository around an environment that skipln is installed into is not its own
        return Source("")
    commit = _git(root, "rev-parse", "--short=12", "HEAD").decode().strip()
    patch = _git(root, "diff", "--binary", "--no-color", "--no-ext-diff", "HEAD", "--", ":/", ":!/results")
    new = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *PACKAGE).decode().split("\0")
    for name in filter(None, new):
        patch += _git(root, "diff", "--binary", "--no-color", "--no-ext-diff", "--no-index", "--", "/dev/null", name)
    return Source(commit, patch)


def _git(root: Path, *arguments: str) -> bytes:
    """What git prints; nothing where it fails. `diff --no-index` has status 1 where files differ."""
    try:
        found = subprocess.run(["git", *arguments], cwd=root, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return found.stdout if found.returncode in (0, 1) else b""
