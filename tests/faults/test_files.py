"""Damaged, swapped and foreign files: the result is right, or there is one line."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from skipln.configuration.composition import compose
from skipln.engine.checkpoint import Checkpoints, load
from skipln.errors import UserError
from skipln.tables.cli import main
from skipln.tasks.translation import prepare_text
from tests.faults.desk import Desk, damaged, in_one_line
from tests.faults.tally import Tally


def test_checkpoints(undisturbed: Desk, tmp_path: Path, draw: random.Random, times: Callable, tally: Tally) -> None:
    """They are damaged anywhere, mostly in the central directory, or belong to another run or update."""
    kind = "damaged and swapped checkpoints"
    mine, other = sorted((undisturbed.path / "runs").glob("*/checkpoints"))
    states = {path: path.read_bytes() for path in sorted(mine.glob("*-*.pt"))}
    strangers = [path.read_bytes() for path in other.glob("*-*.pt")]
    run = mine.parent.name
    for i in range(times(2_000, 60)):
        path, content = draw.choice(list(states.items()))
        what, _, update = path.stem.partition("-")
        if i % 10 == 0:
            attacked = draw.choice([*strangers, *(found for p, found in states.items() if p != path)])
        elif i % 3 == 0:
            place = draw.randrange(content.rindex(b"PK\1\2") if i % 2 else content.index(b"PK\1\2"), len(content))
            attacked = content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]
        else:
            attacked = damaged(content, draw)
        if attacked == content:
            attacked += b"\0"
        victim = tmp_path / path.name
        victim.write_bytes(attacked)
        try:
            load(victim, {"run": run, "kind": what, "update": int(update)})
            tally.add(kind, "failed", f"{path.name}: taken")
        except UserError:
            tally.add(kind, "refused")
    newest, before = sorted(path.name for path in states if path.name.startswith("state"))[::-1]
    shutil.copy(mine / before, tmp_path)
    (tmp_path / newest).write_bytes(damaged(states[mine / newest], draw))
    found = Checkpoints(tmp_path, run, keep=1).load_state()
    assert found is not None and found["update"] == int(before[6:-3])
    assert not tally.counts[kind]["failed"], tally.failures


def test_files_of_a_finished_table(
    finished: Desk, undisturbed: Desk, draw: random.Random, times: Callable, tally: Tally,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture,
) -> None:  # fmt: skip
    """Making the table again gives the same numbers, or one line. Checkpoints, locks and logs are not attacked here."""
    kind = "damaged files in run folders and results"
    monkeypatch.chdir(finished.path)
    expected = undisturbed.made()
    names = [
        path.relative_to(finished.path)
        for folder in ("runs", "experiments")
        for path in sorted((finished.path / folder).rglob("*"))
        if path.is_file() and path.suffix not in (".pt", ".lock", ".txt") and path.name != ".lock"
        and not path.name.startswith(("table.", "curves.html", "curves.svg", "beside.")) and folder != "experiments"
    ]  # fmt: skip
    for _ in range(times(400, 8)):
        name = draw.choice(names)
        content = (finished.path / name).read_bytes()
        (finished.path / name).write_bytes(damaged(content, draw))
        capfd.readouterr()
        what = str(name)
        try:
            status = main(finished.arguments)
            said = capfd.readouterr().err
            if "Traceback" in said:
                outcome = "failed"
            elif status == 0:
                outcome = "survived" if finished.made() == expected else "failed"
            else:
                outcome = "refused" if in_one_line(said) else "failed"
            what += f": {status} {said[-300:]}"
        except Exception as error:
            outcome, what = "failed", f"{name}: {type(error).__name__} {error}"
        tally.add(kind, outcome, what)
        shutil.rmtree(finished.path / "runs", ignore_errors=True)
        shutil.copytree(undisturbed.path / "runs", finished.path / "runs")
    assert not tally.counts[kind]["failed"], tally.failures


def test_prepared_text(undisturbed: Desk, tmp_path: Path, draw: random.Random, times: Callable, tally: Tally) -> None:
    """Training uses the data as they were prepared, or stops."""
    kind = "damaged files in the cache"
    overrides = [text for text in undisturbed.overrides if not text.startswith("paths.cache=")]
    config = compose(["scale=test", *overrides, f"paths.cache={tmp_path}"])

    def content() -> list:
        data = prepare_text(config)
        splits = (data.train, data.valid, data.test)
        return [data.fingerprint, [[list(side) for side in pair] for s in splits for pair in _pairs(s)]]

    expected = str(content())
    names = [path for path in sorted(tmp_path.rglob("*")) if path.is_file() and not path.name.endswith(".lock")]
    for _ in range(times(100, 10)):
        path = draw.choice(names)
        path.write_bytes(damaged(path.read_bytes(), draw))
        try:
            tally.add(kind, "survived" if str(content()) == expected else "failed", str(path))
        except Exception as error:
            tally.add(kind, "refused" if isinstance(error, UserError) else "failed", f"{path}: {error!r}")
    assert not tally.counts[kind]["failed"], tally.failures


def _pairs(corpus) -> list:
    return [(corpus.source[i].tolist(), corpus.target[i].tolist()) for i in range(len(corpus))]


def test_a_manifest_of_two_thousand_cells(
    undisturbed: Desk, tmp_path: Path, times: Callable, tally: Tally, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    kind = "cells of one manifest"
    count = times(2_000, 50)
    desk = Desk(tmp_path, undisturbed.overrides)
    monkeypatch.chdir(tmp_path)
    assert main([*desk.arguments, f"--seeds={-(-count // 2)}", "--dry-run"]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if "skipln.train" in line]
    distinct = len({line.split()[0] for line in lines})
    tally.add(kind, "survived" if distinct == len(lines) >= count else "failed", f"{distinct}", len(lines))
    assert not tally.counts[kind]["failed"], tally.failures
