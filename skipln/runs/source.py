"""Which code a process runs: the commit, and a patch with the uncommitted changes.

Files of the package, its configurations and its manifests that git does not track yet count as uncommitted; results are
not code.
"""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from skipln.system.places import ROOT

PACKAGE = ("skipln", "configs", "experiments")


@dataclass(frozen=True)
class Source:
    """`commit` is empty if skipln is installed without its clone; `patch` is empty if everything is committed."""

    commit: str
    patch: bytes = b""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name the patch; empty if there is none."""
        return hashlib.sha256(self.patch).hexdigest()[:12] if self.patch else ""

    def describe(self) -> dict[str, str | bool]:
        """Return what a record says about the code."""
        return {"commit": self.commit, "dirty": bool(self.patch), **({"patch": self.digest} if self.patch else {})}


def source(root: Path = ROOT) -> Source:
    """Return the code under `root`. Applying the patch (`git apply`) to a checkout of the commit restores its files."""
    top = _git(root, "rev-parse", "--show-toplevel").decode().strip()
    if not top or Path(top) != root:  # a repository around the environment that holds skipln is not skipln's own
        return Source("")
    commit = _git(root, "rev-parse", "--short=12", "HEAD").decode().strip()
    patch = _git(root, "diff", "--binary", "--no-color", "--no-ext-diff", "HEAD", "--", ":/", ":!/results")
    new = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *PACKAGE).decode().split("\0")
    for name in filter(None, new):
        patch += _git(root, "diff", "--binary", "--no-color", "--no-ext-diff", "--no-index", "--", "/dev/null", name)
    return Source(commit, patch)


def _git(root: Path, *arguments: str) -> bytes:
    """Return what git prints, or nothing if it fails. The status of `diff --no-index` is 1 if files differ."""
    try:
        found = subprocess.run(["git", *arguments], cwd=root, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return found.stdout if found.returncode in (0, 1) else b""
