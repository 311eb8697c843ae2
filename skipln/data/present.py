"""Whether a user's images lie where they are said to: asked before torch is loaded, and without it."""

from pathlib import Path

from skipln.errors import UserError


def require_class_folders(source: Path) -> None:
    """Raise UserError where neither a folder nor an archive is."""
    if not source.exists():
        raise UserError(f"{source}: no such folder or archive of images; give it as data.dir=…")


def require_photographs(folder: Path) -> None:
    """Raise UserError where no folder is."""
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; give the one with train/ and val/, or with ImageNet's tars, as data.dir=…"
        )
