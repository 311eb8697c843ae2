"""Files that somebody made on purpose: nothing is executed, resolved or written elsewhere, and no text becomes more."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from skipln.engine.checkpoint import load
from skipln.engine.seal import seal
from skipln.errors import UserError
from skipln.tables.cli import main
from tests.faults.desk import Desk, in_one_line
from tests.faults.tally import Tally


def test_hostile_checkpoints(tmp_path: Path, draw: random.Random, times: Callable, tally: Tally) -> None:
    """Their author has sealed them; still, what they would execute is not executed."""

    class Evil:
        def __init__(self, call: Callable, *arguments: object) -> None:
            self.call, self.arguments = call, arguments

        def __reduce__(self) -> tuple:
            return self.call, self.arguments

    kind, mark, owner = "checkpoints that would execute something", tmp_path / "executed", {"run": "x"}
    calls = [(os.system, f"touch {mark}"), (exec, f"open({str(mark)!r}, 'w')"), (Path.touch, mark), (print, "in")]
    for i in range(times(20, 4)):
        call, *arguments = calls[i % len(calls)]
        with (tmp_path / "x.pt").open("w+b") as file:
            torch.save(draw.choice([Evil(call, *arguments), {"w": [Evil(call, *arguments)]}]), file)
            seal(file, owner)
        try:
            load(tmp_path / "x.pt", owner)
            tally.add(kind, "failed", f"{call}: loaded")
        except UserError:
            tally.add(kind, "failed" if mark.exists() else "refused", f"{call}: executed")
    assert not tally.counts[kind]["failed"], tally.failures


def test_hostile_manifests(
    undisturbed: Desk, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    kind = "hostile manifests"
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path, undisturbed.overrides)
    path = tmp_path / "experiments" / "table9.yaml"
    whole = path.read_text()
    bomb = "a: &a [1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 8)}]\n" for i in range(12)
    )
    texts = [
        bomb, "!!python/object/apply:os.system ['touch executed']", whole.replace("Two runs", "${oc.env:HOME}"),
        "- " * 3_000, "\0", "title: [", whole.replace("post_ln", "skip"), whole.replace("test", "nowhere"),
        whole.encode().decode("latin-1") + "\udcff", json.dumps({"title": 1}), "", "[]", whole.replace("rows", "Rows"),
    ]  # fmt: skip
    for text in texts:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        capfd.readouterr()
        try:
            status = main([*desk.arguments, "--dry-run"])
            said = capfd.readouterr()
            outcome = "survived" if status == 0 else "refused" if in_one_line(said.err) else "failed"
            what = f"{text[:60]!r}: {status} {said.err[-300:]}"
        except Exception as error:
            outcome, what = "failed", f"{text[:60]!r}: {error!r}"
        tally.add(kind, "failed" if (tmp_path / "executed").exists() else outcome, what)
    assert not tally.counts[kind]["failed"], tally.failures
