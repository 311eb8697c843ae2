"""Whether the user's data lie where a configuration says: answered before torch is loaded. Without torch itself."""

from pathlib import Path

from skipln.data.text.parallel import ParallelFiles
from skipln.errors import UserError
from skipln.schema import ClassFolders, ParallelText, Photographs, RunConfig


def require_data(config: RunConfig) -> None:
    """Raise UserError where the folder or files of `config.data` are missing, as the readers of them do later."""
    data = config.data
    if isinstance(data, ParallelText):
        files = ParallelFiles(Path(data.dir), data.source, data.target, data.train, data.valid, data.test)
        files.check_present()
    elif isinstance(data, ClassFolders):
        require_class_folders(Path(data.dir))
    elif isinstance(data, Photographs):
        require_photographs(Path(data.dir))


def require_class_folders(source: Path) -> None:
    if not source.exists():
        raise UserError(f"{source}: no such folder or archive of images; give it as data.dir=…")


def require_photographs(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; give the one with train/ and val/, or with ImageNet's tars, as data.dir=…"
        )
