"""Files that somebody made on purpose: nothing is executed, resolved or written elsewhere, and no text becomes more."""

import io
import json
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import skipln
from skipln.data.images.class_folders import load_class_folders
from skipln.data.text.published import archives
from skipln.engine.checkpoint import load
from skipln.engine.seal import seal
from skipln.errors import UserError
from skipln.tables.cli import main
from tests.faults.desk import Desk, damaged, in_one_line
from tests.faults.tally import Tally
from tests.tables.test_injection import HOSTILE, check_structure
from tests.tables.test_odd_files import YAML


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
        whole.replace("[skip=rskip_ln]", "['data.name=${oc.env:HOME}']"),
        whole.replace("[skip=rskip_ln]", "['launcher.setup=[touch executed]']"),
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


WANTED = b"one\ntwo\n"


def test_hostile_archives(tmp_path: Path, draw: random.Random, times: Callable, tally: Tally) -> None:
    """Names that climb, links, devices, false sizes, damage: only the wanted file is written, with its own content."""
    kind = "hostile and damaged archives"
    for i in range(times(100, 10)):
        here = tmp_path / str(i)
        (here / "in").mkdir(parents=True)
        path = here / "in" / f"a{draw.choice(['.tgz', '.zip'])}"
        (_zip if path.suffix == ".zip" else _tar)(path, draw, tmp_path / "evil")
        if i % 2:
            path.write_bytes(damaged(path.read_bytes(), draw))
        try:
            load_class_folders(path, 8, here / "cache")
            outcome = "failed"  # it has no class folders
        except UserError:
            outcome = "refused"
        try:
            if not archives.damage(path):  # as a download is accepted
                archives.extract(path, {here / "out" / "a.txt": ["a.txt"]})
                outcome = "survived" if (here / "out" / "a.txt").read_bytes() == WANTED else "failed"
        except UserError:
            pass
        written = {str(found.relative_to(here)) for found in here.rglob("*") if found.is_file() or found.is_symlink()}
        strange = {name for name in written if not name.startswith((f"in/{path.name}", "cache/images/", "out/"))}
        outside = (tmp_path / "evil").exists() or strange or any(found.is_symlink() for found in here.rglob("*"))
        tally.add(kind, "failed" if outside else outcome, f"{i}: {path.name} {sorted(written)}")
    assert not tally.counts[kind]["failed"], tally.failures


def _tar(path: Path, draw: random.Random, evil: Path) -> None:
    names = ["../evil", str(evil), "x/../../evil", "train/red/../../../evil", "evil\n", "\udce9vil", "a.txt/evil"]
    types = [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
    with tarfile.open(path, "w:gz") as tar:
        for name in [*draw.sample(names, 3), *(["a.txt"] if draw.random() < 0.2 else [])]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = draw.choice(types[1:] if name == "a.txt" else types), str(evil)
            member.size = 3 if member.isreg() else 0
            tar.addfile(member, io.BytesIO(b"bad"))
        if draw.random() < 0.2:
            header = tarfile.TarInfo("pax")
            header.type, header.size = tarfile.XHDTYPE, 300 << 20
            tar.addfile(header)
        member = tarfile.TarInfo("a.txt")
        member.size = len(WANTED)
        tar.addfile(member, io.BytesIO(WANTED))


def _zip(path: Path, draw: random.Random, evil: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in draw.sample(["../evil", str(evil), "x/../../evil", "a.txt/", "evil\n"], 2):
            archive.writestr(name, b"bad")
        member = zipfile.ZipInfo("a.txt")
        member.external_attr = draw.choice([0, 0o100644, 0o120777, 0o020666]) << 16  # a file or not, a link, a device
        archive.writestr(member, WANTED)
    if draw.random() < 0.2:  # an encrypted member, or an unknown method
        content = bytearray(path.read_bytes())
        content[content.rindex(b"PK\1\2") + draw.choice([8, 10])] = draw.choice([1, 99])
        path.write_bytes(content)


def test_hostile_configurations(
    undisturbed: Desk, tmp_path: Path, draw: random.Random, times: Callable, tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The weights of a finished run are used as its own configuration says, or not at all."""
    kind = "hostile configurations of a run"
    monkeypatch.setenv("SECRET", "a-secret-of-mine")
    monkeypatch.chdir(tmp_path)
    source = next(path.parent for path in sorted((undisturbed.path / "runs").glob("*/result.json")))
    shutil.copytree(source, tmp_path / source.name)
    config = tmp_path / source.name / "config.yaml"
    whole = config.read_bytes()
    changes = [
        (b"seed: 1\n", b"seed: 2\n"), (b"seed: 1\n", b"seed: &a [*a]\n"), (b"seed: 1\n", b"seed: ${oc.env:SECRET}\n"),
        (b"seed: 1\n", b"seed: !!python/object/apply:os.system ['touch executed']\n"), (b"lr: ", b"lr: 1"),
        (b"cache: ", b"cache: ${oc.env:SECRET}"), (b"runs: ", b"runs: ${oc.env:SECRET}"), (b"heads: ", b"heads: 1"),
    ]  # fmt: skip
    foreign = [*(whole.replace(*change) for change in changes), *YAML]
    for i in range(times(100, 10)):
        config.write_bytes(draw.choice(foreign) if i % 2 else damaged(whole, draw))
        try:
            run = skipln.load_run(config.parent, "cpu")
            same = run.config.hash == source.name and "a-secret-of-mine" not in str(run.config)
            outcome = "survived" if same else "failed"
        except Exception as error:
            one = isinstance(error, UserError) and "\n" not in str(error)
            outcome = "refused" if one else "failed"
        executed = (tmp_path / "executed").exists()
        tally.add(kind, "failed" if executed else outcome, f"{i}: {config.read_bytes()[:80]!r}")
    assert not tally.counts[kind]["failed"], tally.failures


def test_hostile_labels(
    finished: Desk, draw: random.Random, times: Callable, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label, a title or a note stays one text in Markdown, LaTeX and CSV."""
    kind = "hostile labels of a manifest"
    monkeypatch.chdir(finished.path)
    path = finished.path / "experiments" / "table9.yaml"
    whole = path.read_text()

    def rendered(words: str) -> dict[str, str]:
        quoted = json.dumps(words)
        changed = whole.replace("title: Two runs", f"title: {quoted}").replace("label: Text", f"label: {quoted}")
        path.write_text(changed.replace("label: rSkip+LN", f"label: {quoted}") + f"notes: [{quoted}]\n")
        assert main(finished.arguments) == 0
        names = ("table.md", "table.tex", "table.csv")
        return {name: (finished.results / name).read_bytes().decode() for name in names}

    plain = rendered("plain")
    for words in draw.sample(HOSTILE, times(len(HOSTILE), 1)):
        try:
            check_structure(plain, rendered(words))
            tally.add(kind, "survived")
        except AssertionError as error:
            tally.add(kind, "failed", f"{words!r}: {error}")
    assert not tally.counts[kind]["failed"], tally.failures
