"""Connections, models and tables that compare them, and trained runs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from skipln.system.beginning import begins_a_command, stop_quietly

if TYPE_CHECKING:
    from skipln.library.convert import convert
    from skipln.library.nets import resnet, transformer
    from skipln.trained.run import Run, load_run

__all__ = ["Run", "convert", "load_run", "resnet", "transformer"]

_MODULES = {
    "Run": "skipln.trained.run",
    "convert": "skipln.library.convert",
    "load_run": "skipln.trained.run",
    "resnet": "skipln.library.nets",
    "transformer": "skipln.library.nets",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:  # only a request for a model loads torch, not every import of the package
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if begins_a_command("skipln"):
    stop_quietly()
