"""Weights as a safetensors file, which holds tensors and text but nothing executable."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
from safetensors.torch import save
from torch import Tensor

from skipln.errors import UserError
from skipln.system.files import atomic_write, disk_errors


def save_tensors(path: Path, weights: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write `weights`, and the text `about` in the file's header, whole or not at all."""
    with atomic_write(path) as file:
        file.write(save({name: value.contiguous() for name, value in weights.items()}, dict(about)))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the weights to the CPU, and the header's text. Raises UserError for a file that is missing or damaged."""
    try:
        with disk_errors(path), safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such weights file") from error
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: damaged, or not a safetensors file ({type(error).__name__})") from error
