"""Steps of a long command, each of which is done only once."""

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from skipln.system.files import atomic_write
from skipln.system.strict_json import read_json


class Steps:
    """Remembers in a JSON file which steps were done and what they returned, for one set of choices."""

    def __init__(self, path: Path, choices: dict) -> None:
        self.path, self.choices = path, choices
        self.done: dict[str, dict] = {}
        with suppress(OSError, ValueError, KeyError, TypeError):  # missing or damaged: every step is to be done
            content = read_json(path)
            if content["choices"] == choices:
                self.done = dict(content["done"])

    def do(self, name: str, step: Callable[[], dict], files: Iterable[Path]) -> None:
        """Run `step` unless it was done and its files are there; keep the plain dict it returns, and its `seconds` by
        the clock."""
        if name in self.done and all(path.is_file() for path in files):
            return
        began = time.monotonic()
        self.done[name] = step() | {"seconds": round(time.monotonic() - began, 1)}
        with atomic_write(self.path, "w") as file:
            json.dump({"choices": self.choices, "done": self.done}, file, indent=1)
