"""Connections, the models and tables that compare them, and the runs that were trained."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skipln.trained.run import Run, load_run

__all__ = ["Run", "load_run"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # torch is loaded by whoever asks for a model, not by every import of the package
        from skipln.trained import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
