"""Memory that cannot be had is told apart from other errors, and is one line."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from skipln.system.memory import out_of_memory
from skipln.system.printing import exit_status


def cuda() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")  # what torch raises on a GPU


@pytest.mark.parametrize(
    "ask",
    [
        lambda: torch.empty(10**15),
        lambda: torch.empty(10**10, 10**10),
        lambda: np.empty(10**16),
        lambda: bytearray(10**16),
        cuda,
    ],
)
def test_a_failed_allocation_is_one_line(ask: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        ask()
    assert out_of_memory(raised.value)

    def command() -> None:
        ask()

    assert exit_status(command) == 2
    assert capsys.readouterr().err == "error: out of memory; give a smaller batch or model, or another machine\n"


def test_another_error_stays_what_it_is() -> None:
    def command() -> None:
        torch.zeros(2) @ torch.zeros(3)

    with pytest.raises(RuntimeError, match="size"):
        exit_status(command)
