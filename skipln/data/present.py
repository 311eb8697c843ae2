"""Check that a user's images are where the configuration says, before torch is imported."""

from pathlib import Path

from skipln.errors import UserError


def require_class_folders(source: Path) -> None:
    """Raise UserError if `source` is neither a folder nor an archive."""
    if not source.exists():
        raise UserError(f"{source}: no such folder or archive of images; give it as data.dir=…")


def require_photographs(folder: Path) -> None:
    """Raise UserError if `folder` is not a folder."""
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; give the one with train/ and val/, or with ImageNet's tars, as data.dir=…"
        )
