"""Fixtures for all tests: a tiny parallel corpus of our own, and one thread per process."""

import os
import random
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)  # nothing here asserts a time
settings.load_profile("shared machine")
_kernels = tempfile.TemporaryDirectory(prefix="skipln-kernels-")  # compiled once per session, when first needed
os.environ.setdefault("SKIPLN_CACHE", _kernels.name)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts the tests with & ignores it
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes with two threads each would compete for the cores


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", type=float, default=0.0, help="share of all attacks in tests/faults; 0: a sample")


NUMBERS = {
    "one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "fünf", "six": "sechs", "red": "rot",
    "green": "grün", "blue": "blau", "house": "Haus", "tree": "Baum", "dog": "Hund", "sees": "sieht", "and": "und",
}  # fmt: skip


def write_tiny_text(folder: Path, pairs: int = 200) -> Path:
    """Write train/valid/test .en/.de: random English words and their word-by-word translations."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(0)
    for split, count in (("train", pairs), ("valid", 12), ("test", 10)):
        lines = [draw.choices(list(NUMBERS), k=draw.randint(3, 9)) for _ in range(count)]
        (folder / f"{split}.en").write_text("".join(" ".join(words) + "\n" for words in lines), "utf-8")
        (folder / f"{split}.de").write_text("".join(" ".join(map(NUMBERS.get, w)) + "\n" for w in lines), "utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_text(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def tiny(tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides for a run of seconds on the tiny corpus; the session's tests share the prepared data."""
    return [
        "scale=test", "data=parallel_text", f"data.dir={tiny_text}", "data.vocabulary=290", "data.max_length=40",
        f"paths.cache={tmp_path_factory.mktemp('cache')}", "compute.accelerator=cpu", "compute.threads=1",
        "model.encoder_layers=1", "model.decoder_layers=1", "training.max_tokens=256", "task.extra_length=5",
    ]  # fmt: skip


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, int], None]:
    """interrupt(config, update) trains a run up to that update, then simulates Ctrl-C before the next one."""
    from skipln.engine import loop
    from skipln.engine.run import execute
    from skipln.engine.update.schedule import learning_rate

    def interrupted(config: Any, update: int) -> None:
        def stop(schedule: Any, peak: float, at: int, updates: int) -> float:
            if at == update + 1:
                raise KeyboardInterrupt
            return learning_rate(schedule, peak, at, updates)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "learning_rate", stop)
            assert execute(config) == "interrupted"

    return interrupted
